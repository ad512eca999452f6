"""Python as a tab downloads it: without comments, and without the docstrings that no user reads.

What users import by name keeps its docstrings. Lines keep their numbers, so that tracebacks are those of the source.
"""

import ast
import io
import tokenize

# Modules of what users import; of other ones, and of names that begin with _, docstrings go.
READ = (
    "gemel/__init__.py", "gemel/browser.py", "gemel/cache.py", "gemel/profiling.py", "gemel/_open.py", "gemel/model/",
    "gemel/tools/tool.py", "gemel/dialect/parts.py", "gemel/core/errors.py",
)  # fmt: skip


def lean(name: str, source: str) -> str:
    """Return a module's source without what only its developers read. name: its place in the wheel."""
    lines = source.splitlines(keepends=True)
    cuts = [*_comments(source), *_docstrings(ast.parse(source), is_read=name.startswith(READ))]
    for (first, start), (last, end), text in sorted(cuts, reverse=True):
        kept = _characters(lines[first - 1], start), _characters(lines[last - 1], end)
        head, tail = lines[first - 1][: kept[0]], lines[last - 1][kept[1] :]
        lines[first - 1 : last] = [f"{(head + text).rstrip()}{tail}" if tail.strip() == "" else head + text + tail]
        lines[first:first] = ["\n"] * (last - first)
    return "".join(lines)


def _characters(line: str, n_bytes: int) -> int:
    """Return how many characters the first bytes of a line are."""
    return len(line.encode()[:n_bytes].decode())


Cut = tuple[tuple[int, int], tuple[int, int], str]   # where it begins and ends, in bytes; what takes its place


def _comments(source: str) -> list[Cut]:
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            (row, start), (_, end) = token.start, token.end
            first = len(token.line[:start].encode())
            found.append(((row, first), (row, first + len(token.line[start:end].encode())), ""))
    return found


def _docstrings(tree: ast.AST, *, is_read: bool) -> list[Cut]:
    """Return the docstrings that nobody reads, of a module, class or function and all in it."""
    found: list[Cut] = []
    for node in ast.iter_child_nodes(tree):
        name = node.name if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else ""
        found += _docstrings(node, is_read=is_read and (not name.startswith("_") or name.startswith("__")))
    if isinstance(tree, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not is_read:
        first = tree.body[0] if tree.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            assert first.end_lineno is not None
            assert first.end_col_offset is not None
            place = (first.lineno, first.col_offset), (first.end_lineno, first.end_col_offset)
            found.append((*place, '""'))
    return found
