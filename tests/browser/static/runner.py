"""Run Python for the tests, natively and in Pyodide alike: source and values in, the last expression's value out.

Values cross as JSON, with bytes as {"$bytes": base64}. The source may await; its globals stay from one run to the next.
An error comes back as its type's name, its message and the traceback, and so does a value that is no JSON.
"""

import ast
import base64
import inspect
import itertools
import json
import linecache
import traceback
from typing import Any

counter = itertools.count()
namespace: dict[str, Any] = {"__name__": "__main__"}


def pack(value: Any) -> Any:  # noqa: ANN401
    """Make a value fit for JSON."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [pack(one) for one in value]
    if isinstance(value, dict):
        return {key: pack(one) for key, one in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} can't cross to the test: make it a number, text, bytes, a list or a dict")


def unpack(value: Any) -> Any:  # noqa: ANN401
    """Undo pack()."""
    if isinstance(value, list):
        return [unpack(one) for one in value]
    if isinstance(value, dict):
        if set(value) == {"$bytes"}:
            return base64.b64decode(value["$bytes"])
        return {key: unpack(one) for key, one in value.items()}
    return value


async def evaluate(source: str) -> Any:  # noqa: ANN401
    """Execute statements; return the value of the last one when it is an expression."""
    linecache.cache["<test>"] = (len(source), None, source.splitlines(keepends=True), "<test>")
    result = f"_result_{next(counter)}"   # several runs may be under way
    tree = ast.parse(source, "<test>")
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name(result, ast.Store())], last.value), last)
        ast.fix_missing_locations(tree)
    namespace[result] = None
    running = eval(compile(tree, "<test>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
    if inspect.iscoroutine(running):
        await running
    return namespace.pop(result)


async def run(source: str, values: str) -> str:
    """Return JSON: {"value": ...} or {"error": [kind, message, traceback]}."""
    try:
        namespace.update(unpack(json.loads(values)))
        return json.dumps({"value": pack(await evaluate(source))})
    except BaseException as error:
        lines = "".join(traceback.format_exception(error))
        return json.dumps({"error": [type(error).__name__, str(error), lines]})
