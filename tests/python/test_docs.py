"""The pages name what exists, link to what exists and quote figures that were measured; the C API's examples run.

docs/python.md's examples run in test_api.py, test_cli.py checks the options of docs/cli.md, test_words.py the words.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import building
import gemel
import pytest
from conftest import tiny_bytes
from doc_examples import c_examples

ROOT = building.ROOT
DOCS = ROOT / "docs"
STATIC = ROOT / "web/gemel_web/static"
# Names in pages that are right, and of no file or word in the tree.
ELSEWHERE = {
    "LICENCES.txt", "assets.json", "pyodide/", "vendor/", "wheels/",   # made by `make assets`
    "dist/pyodide-lock-entry.json", "dist/pyodide-lock.json", "r.json",   # made by the programs that the page explains
    "config.json", "v1/",   # addresses of the server
    "worker.js",   # a file, not a field of struct worker
    "perf", "vendor/ik_llama.cpp/common/cmake/build-info-gen-cpp.cmake",   # other projects'
}
CODE = {".c", ".h", ".def", ".py", ".cmake", ".txt", ".toml", ".js", ".mjs"}
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"[\w./*-]*\.(?:inc\.c|c|h|def|py|md|cmake|json|txt)")
NAME = r"[A-Za-z_]\w*"
INSTRUCTIONS = {"vpdpbusd", "sdot", "smmla", "dot_i16x8"}   # of machines


@functools.cache
def names() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in building.tracked()]


def without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


@functools.cache
def sources() -> dict[str, str]:
    """Return the code by file: C without comments, so that a name which only they have left is missed."""
    found = {}
    for name in names():
        path = ROOT / name
        if path.suffix in CODE and name != "tests/python/test_docs.py":
            text = path.read_text(encoding="utf-8")
            found[name] = without_comments(text) if path.suffix in (".c", ".h", ".def") else text
    return found


@functools.cache
def words() -> set[str]:
    """Return all names of the code, those of its files, and what only docs/bits.md defines or quotes."""
    formulas = drawn((DOCS / "bits.md").read_text(encoding="utf-8"))
    stems = {Path(name).stem for name in names()}
    return stems | formulas | INSTRUCTIONS | {word for text in sources().values() for word in re.findall(NAME, text)}


@functools.cache
def fields() -> dict[str, set[str]]:
    """Return the words in the body of each struct of the core, by its name."""
    found: dict[str, set[str]] = {}
    for name, text in sources().items():
        if name.startswith("core_c/"):
            for match in re.finditer(rf"\bstruct ({NAME}) \{{(.*?)\n\}}", text, re.DOTALL):
                found.setdefault(match[1], set()).update(re.findall(NAME, match[2]))
    return found


def spans(page: str) -> list[str]:
    """Return what is between backticks outside of drawings and programs."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCE.sub("", page))]


def drawn(page: str) -> set[str]:
    """Return the words of the page's drawings: a page's own formulas define them."""
    return {word for block in FENCE.findall(page) for word in re.findall(NAME, block)}


def exists_file(pattern: str) -> bool:
    glob = re.escape(re.sub(r"<\w+>|NAME", "*", pattern)).replace(r"\*", "[^/]*")
    return any(re.search(rf"(^|/){glob}$", name) for name in names())


def is_missing(span: str) -> bool:
    """Tell whether a span is a file, a folder, a name or a field of a struct, and is not in the tree."""
    plain = re.sub(r"^(struct|python|pytest) ", "", span).removesuffix("()").removesuffix("[]")
    if plain in ELSEWHERE:
        return False
    if FILE.fullmatch(re.sub(r"<\w+>", "*", plain)):
        return not exists_file(plain)
    if re.fullmatch(r"[\w/]+/", plain):
        return not any(f"/{plain}" in f"/{name}" for name in names())
    if re.fullmatch(NAME, plain):
        if plain.startswith("GEMEL_SERVE_"):   # the environment's name of a field
            return plain.removeprefix("GEMEL_SERVE_").lower() not in words()
        return words().isdisjoint({plain, f"gemel_session_{plain}"})
    path = re.fullmatch(rf"({NAME})(?:\.|->)({NAME})", plain)
    if path and path[1] in fields():
        is_key = any(f'"{plain}"' in text for text in sources().values())   # of a file's metadata
        return path[2] not in fields()[path[1]] and not is_key
    if re.fullmatch(rf"{NAME}(?: {NAME})*", plain):   # a list of names, or words
        return any(word not in words() for word in plain.split() if "_" in word)
    return False


def pages() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_names_in_pages_exist(page: Path) -> None:
    assert sorted(filter(is_missing, set(spans(page.read_text(encoding="utf-8"))))) == []


@pytest.mark.parametrize("name", ["walk.md", "adding.md"])
def test_names_in_drawings_exist(name: str) -> None:
    found = {word for word in drawn((DOCS / name).read_text(encoding="utf-8")) if "_" in word}
    assert sorted(found - words()) == []


def test_a_name_that_is_gone_is_seen() -> None:
    gone = ["hparams_read", "arch/hparams.c", "struct hparams", "attention.head_dim", "decoders/", "GEMEL_OP_ANGLES"]
    gone += ["GEMEL_SERVE_WALLPAPER"]
    there = ["arch_read", "arch/arch.c", "struct layer", "attention.window", "forward/", "GEMEL_OP_HEAD", "isa_*.c"]
    there += ["GEMEL_SERVE_MAX_BODY", "eval_rows"]
    assert [span for span in gone + there if is_missing(span)] == gone


def test_embed_says_the_sizes_of_the_files_that_are_committed() -> None:
    page = (DOCS / "embed.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (`.*`) \|.*\| (\d+) kB \|$", page, re.MULTILINE)
    found = {one: sum(file.stat().st_size for name in spans(one) for file in STATIC.glob(name)) for one, _ in table}
    assert len(found) == 4
    assert {files: size for files, size in table if abs(found[files] / 1000 - int(size)) > 0.05 * int(size) + 0.5} == {}


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s]*)\)", FENCE.sub("", page.read_text(encoding="utf-8")))
    assert [link for link in links if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    """Tell whether a link's file exists, and has the heading that the link names."""
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in anchors(target.read_text(encoding="utf-8")))


def anchors(page: str) -> set[str]:
    """Return the headings of a page as links name them: lower case, without punctuation, with hyphens for spaces."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_a_link_that_leads_nowhere_is_seen() -> None:
    page = DOCS / "python.md"
    assert leads_somewhere(page, "models.md#names")
    assert not leads_somewhere(page, "models.md#no-such-heading")
    assert not leads_somewhere(page, "no_such_page.md")


def test_every_page_is_on_the_map() -> None:
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)", (DOCS / "README.md").read_text(encoding="utf-8")))
    there = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"}
    assert sorted(there - linked) == []


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_make_has_the_targets_that_pages_name(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^    |`|^\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets


def test_the_readmes_figures_are_those_of_the_table_of_performance() -> None:
    """Each row of the README's table of figures has its numbers in one line of docs/performance.md."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\|[^\n]*\| gemel \|[^\n]*\n\|[-:|]+\|\n((?:\|.*\n)+)", readme, re.MULTILINE)
    lines = [numbers(line) for line in (DOCS / "performance.md").read_text(encoding="utf-8").splitlines()]
    for row in table.splitlines():
        figures = numbers(row.split("|", 2)[2])
        assert len(figures) >= 2
        assert any(figures <= line for line in lines), row


def numbers(text: str) -> set[str]:
    return set(re.findall(r"(?<!\w)\d+(?:\.\d+)?(?!\w)", text.replace(",", "")))


# ---- The C API's page ------------------------------------------------------------------------------------------------

# What hello.c's functions are followed by: each other example is a separate block, with a fresh session and ids.
HARNESS = """
int main(int argc, char **argv) {{
    (void)argc;
    const char *path[] = {{argv[1], argv[1]}};
    const char *text = "the quick brown fox";
    int32_t ids[448];
    gemel_model *model;
{blocks}
    return 0;
}}
"""
BLOCK = """    {{
        gemel_session *session;
        gemel_sampler *sampler;
        FILE *file = fopen(path[0], "rb");
        model = load(open_header(file, path[0]), file, path[0]);
        int n = gemel_tokenize(model, text, strlen(text), GEMEL_TEXT_BOS_EOS, ids, 448);
        need(n, "the text");
        need(gemel_session_open(model, 512, &session), "session");
        need(gemel_sampler_open(model, &sampler), "sampler");
        {{
{example}
        }}
        gemel_sampler_close(sampler);
        gemel_session_close(session);
        gemel_model_close(model);
    }}
"""


def compiled(folder: Path, name: str, source: str) -> Path:
    """Return a program of one file, linked to the library in use."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        building.lacking("there is no C compiler (cc)")
    library = Path(gemel.library_path())
    (folder / f"{name}.c").write_text(source, encoding="utf-8")
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'core_c' / 'include'}", f"{name}.c"]
    command += ["-o", name, str(library), f"-Wl,-rpath,{library.parent}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / name


def test_the_c_program_of_the_manual_goes_on_with_a_text(tmp_path: Path) -> None:
    program = compiled(tmp_path, "hello", c_examples()[0])
    (tmp_path / "model.gguf").write_bytes(tiny_bytes())
    command: list[str | Path] = [program, tmp_path / "model.gguf", "the quick"]
    done = subprocess.run(command, capture_output=True, check=False)
    with gemel.open(tiny_bytes()) as model:
        expected = model.generate("the quick", max_tokens=64, temperature=0).read()
    assert done.returncode == 0
    assert len(done.stdout) > 20
    assert expected.startswith(done.stdout.decode("utf-8", "replace"))   # what waits for its end is not printed


def test_the_c_examples_of_the_manual_run(tmp_path: Path) -> None:
    hello, *others = c_examples()
    assert len(others) >= 8
    start = hello[: hello.index("int main(")]
    blocks = "".join(BLOCK.format(example=example) for example in others)
    program = compiled(tmp_path, "examples", start + HARNESS.format(blocks=blocks))
    (tmp_path / "model.gguf").write_bytes(tiny_bytes())
    done = subprocess.run([program, tmp_path / "model.gguf"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
