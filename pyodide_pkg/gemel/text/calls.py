"""Calls of tools in messages, and messages with their results, are checked and completed.

A call has an id, a type, a name, and arguments as a mapping; a result has its call's id and name. Errors begin with the
place: `messages[2].tool_calls[0].function.arguments: ...`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.hints import did_you_mean
from ..core.json_value import json_value

DEPTH_MAX = 50    # of lists and mappings in each other, in arguments
CALLS_MAX = 512   # in one message
SHAPE = '{"id": ..., "type": "function", "function": {"name": ..., "arguments": ...}}'
OF_CALL = ("id", "type", "function", "index")
OF_FUNCTION = ("name", "arguments", "index")


class Arguments(dict[str, Any]):
    """The arguments of a call.

    Attributes:
        text: the JSON text that the caller passed, or one in the form of transformers' `tojson`
    """

    def __init__(self, values: Mapping[str, Any], text: str | None = None) -> None:
        super().__init__(values)
        self.text = json.dumps(values, ensure_ascii=False) if text is None else text


def calls_of(calls: object, where: str) -> list[dict[str, Any]]:
    """Return `tool_calls` in OpenAI's form, with Arguments."""
    if not isinstance(calls, list | tuple):
        raise ArgumentTypeError(f"{where}: must be a list of calls like {SHAPE}, not {calls!r:.50}")
    if len(calls) > CALLS_MAX:
        raise ArgumentError(f"{where}: there are {len(calls)} calls; the limit of a message is {CALLS_MAX}")
    found = [_call(call, f"{where}[{i}]") for i, call in enumerate(calls)]
    seen: dict[str, int] = {}
    for i, call in enumerate(found):
        if "id" in call and seen.setdefault(call["id"], i) != i:
            where_id = f"{where}[{i}].id"
            raise ArgumentError(f"{where_id}: {call['id']!r:.50} is the id of another call: give each call its id")
    return found


def linked(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages whose calls have ids, and whose results have the id and the name of their call.

    A result without an id is that of the first call that has none yet, among those of its name if it has one.
    """
    given = {call.get("id") for message in messages for call in message.get("tool_calls", ())}
    names: dict[str, str] = {}                 # of all calls so far, by id
    waiting: dict[str, str] = {}               # of the last calls, those without a result
    found, n = [], 0
    for i, message in enumerate(messages):
        if message.get("tool_calls"):
            calls = []
            for call in message["tool_calls"]:
                while "id" not in call and f"call{n:05d}" in given:
                    n += 1
                calls.append({"id": f"call{n:05d}", **call})
                given.add(calls[-1]["id"])
            message = {**message, "tool_calls": calls}
            waiting = {call["id"]: call["function"]["name"] for call in calls}
            names |= waiting
        elif message.get("role") == "tool":
            message = _linked(message, f"messages[{i}]", names, waiting)
        found.append(message)
    return found


def _linked(
    message: dict[str, Any], where: str, names: Mapping[str, str], waiting: dict[str, str]
) -> dict[str, Any]:
    id, name = message.get("tool_call_id"), message.get("name") or message.get("tool_name")
    for key, value in (("tool_call_id", id), ("tool_name", name)):
        if value is not None and not isinstance(value, str):
            raise ArgumentTypeError(f"{where}.{key}: must be a string, not {value!r:.50}")
    if not id and not names:   # calls may be in a message's text
        return message
    if not id:
        id = next((one for one, called in waiting.items() if not name or name == called), None)
        if id is None:
            of = f" of {name!r:.50}" if name else ""
            raise ArgumentError(f"{where}: no call{of} waits for a result: say by tool_call_id which call it is of")
    elif id not in names:
        known = f"those are {', '.join(map(repr, list(names)[-5:]))}" if names else "no earlier message has tool_calls"
        raise ArgumentError(f"{where}.tool_call_id: {id!r:.50} is not the id of an earlier call: {known}")
    waiting.pop(id, None)
    return {**message, "tool_call_id": id, "name": name or names[id]}


def _call(call: object, where: str) -> dict[str, Any]:
    if not isinstance(call, Mapping):
        raise ArgumentTypeError(f"{where}: must be a call like {SHAPE}, not {call!r:.50}")
    is_bare = "function" not in call and "name" in call   # the inner form alone
    function, inner = (call, where) if is_bare else (call.get("function"), f"{where}.function")
    if not isinstance(function, Mapping):
        raise ArgumentTypeError(f'{inner}: must be like {{"name": ..., "arguments": ...}}, not {function!r:.50}')
    id, kind, name = call.get("id"), call.get("type"), function.get("name")
    if id is not None and not isinstance(id, str):
        raise ArgumentTypeError(f"{where}.id: must be a string, not {id!r:.50}")
    if kind not in (None, "function"):
        raise ArgumentError(f"{where}.type: must be 'function', not {kind!r:.50}")
    if not isinstance(name, str):
        raise ArgumentTypeError(f"{inner}.name: must be a string, not {name!r:.50}")
    if not name:
        raise ArgumentError(f"{inner}.name: it is empty: say which tool is called")
    _check_names(function, (*OF_FUNCTION, *OF_CALL) if is_bare else OF_FUNCTION, inner)
    _check_names(call, (*OF_FUNCTION, *OF_CALL) if is_bare else OF_CALL, where)
    others = {key: value for key, value in call.items() if key not in (*OF_FUNCTION, *OF_CALL) and value is not None}
    called = {"name": name, "arguments": _arguments(function.get("arguments"), f"{inner}.arguments")}
    return {**({"id": id} if id else {}), "type": "function", "function": called, **others}


def _check_names(given: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    """Refuse fields that are nearly known ones. Others are left to the template."""
    for name in map(str, given):
        hint = "" if name in known else did_you_mean(name, known)
        if name == "parameters" and "arguments" not in given:
            hint = "; did you mean 'arguments'?"
        if hint:
            raise ArgumentError(f"{where}.{name}: unknown field of a call{hint}")


def _arguments(given: object, where: str) -> Arguments:
    if given is None or given == "":
        return Arguments({})
    values, text = given, None
    if isinstance(given, str):
        try:
            values, text = json.loads(given, parse_constant=_no_number), given
        except (ValueError, RecursionError) as error:
            raise ArgumentError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(values, Mapping):
        raise ArgumentTypeError(f"{where}: must be a JSON object, as text or as a mapping, not {given!r:.50}")
    return Arguments(json_value(values, where, depth_max=DEPTH_MAX), text)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")
