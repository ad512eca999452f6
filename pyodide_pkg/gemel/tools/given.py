"""What callers pass as `tools` becomes Tools: functions, Tools, and dicts in OpenAI's form.

Errors begin with the place: `tools[2].function.parameters: ...`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..core.checks import flag, sequence, shown, wrong_type
from ..core.errors import ArgumentError
from ..core.hints import did_you_mean
from ..text.messages import NEUTRAL
from .tool import Tool, check_description, check_name, object_schema, tool_of

ToolLike = Tool | Callable[..., Any] | Mapping[str, Any]   # what callers pass for a tool
N_MAX = 512           # tools
SIZE_MAX = 1 << 20    # characters of all tools, as JSON
OUTER = ("type", "function", "strict", *NEUTRAL)
INNER = ("name", "description", "parameters", "strict", *NEUTRAL)
ELSEWHERE = {"input_schema": "parameters", "inputSchema": "parameters", "schema": "parameters"}   # of other APIs


def tools_of(given: object, where: str = "tools") -> tuple[Tool, ...]:
    """Return the tools of a list, or none for None.

    Each is a function with type hints (a method, a partial, an object with __call__), a Tool, or a dict: OpenAI's
    {"type": "function", "function": {...}}, or its inner part alone. ArgumentError names the place of what is wrong.
    At most 512, whose JSON has at most 1048576 characters together.

    >>> tools_of([{"name": "clock", "description": "Tell the time."}])[0].name
    'clock'
    """
    if given is None:
        return ()
    listed = sequence(where, given, "a list of functions, gemel.Tool or dicts, or None")
    if len(listed) > N_MAX:
        raise ArgumentError(f"{where}: there are {len(listed)} tools; the limit is {N_MAX}: pass fewer")
    found = tuple(_tool(one, f"{where}[{i}]") for i, one in enumerate(listed))
    size = sum(len(json.dumps(tool.as_json(), ensure_ascii=False)) for tool in found)
    if size > SIZE_MAX:
        raise ArgumentError(f"{where}: they have {size} characters as JSON; the limit is {SIZE_MAX}: make them smaller")
    places: dict[str, int] = {}
    for i, tool in enumerate(found):
        if places.setdefault(tool.name, i) != i:
            first = f"{where}[{places[tool.name]}]"
            raise ArgumentError(f"{where}[{i}]: {tool.name!r} is also the name of {first}: give each tool its name")
    return found


def _tool(given: object, where: str) -> Tool:
    if isinstance(given, Tool):
        return given
    if isinstance(given, Mapping):
        return _of_mapping(given, where)
    if callable(given) and not isinstance(given, type):
        return tool_of(given, where)
    wanted = "a function with type hints, a gemel.Tool, or a dict like {\"type\": \"function\", \"function\": {...}}"
    raise wrong_type(where, given, wanted)


def _of_mapping(given: Mapping[Any, Any], where: str) -> Tool:
    is_outer = "function" in given or (given.get("type") == "function" and "name" not in given)
    if is_outer:
        _check_fields(given, OUTER, where)
    kind = given.get("type", "function")
    if kind != "function":
        raise ArgumentError(f"{where}.type: must be 'function', not {shown(kind)}")
    inner, place = (given.get("function"), f"{where}.function") if is_outer else (given, where)
    if not isinstance(inner, Mapping):
        raise wrong_type(place, inner, 'like {"name": ..., "description": ..., "parameters": {...}}')
    _check_fields(inner, INNER if is_outer else (*INNER, "type"), place)
    if "name" not in inner:
        raise ArgumentError(f"{place}: it has no name: add one")
    check_name(inner["name"], f"{place}.name")
    check_description(inner.get("description"), f"{place}.description")
    strict = next((one["strict"] for one in (inner, given) if one.get("strict") is not None), True)
    return Tool(
        inner["name"], inner.get("description"), object_schema(inner.get("parameters"), f"{place}.parameters"),
        strict=flag(f"{place}.strict", strict),
    )   # fmt: skip


def _check_fields(given: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
    for name, value in given.items():
        if name not in known and value is not None:
            meant = ELSEWHERE.get(str(name))
            hint = f"; did you mean {meant!r}?" if meant in known else did_you_mean(str(name), known)
            raise ArgumentError(f"{where}.{name}: unknown field of a tool{hint}")
