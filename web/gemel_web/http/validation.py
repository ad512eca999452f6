"""A message of msgspec about an invalid body becomes the API's error, which names the parameter in plain English."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from .errors import ApiError, invalid

PLACE = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
KIND = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
ENUM = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
RANGE = re.compile(r"Expected `(\w+)` (<=|>=) (\S+)")
LENGTH = re.compile(r"Expected `(\w+)` of length <= (\d+)")
KINDS = {
    "int": "an integer", "float": "a number", "str": "a string", "bool": "true or false", "array": "a list",
    "object": "an object", "null": "null",
}  # fmt: skip
STEP = re.compile(r"\w+|\[[^\]]*\]")   # of a place: a field, or an item
ITEMS = {"str": "characters", "array": "items"}


def not_valid(message: str, kind: type[Struct]) -> ApiError:
    """Return the error for a message of msgspec. kind: the body's, of whose fields one may have been meant."""
    place = PLACE.fullmatch(message)
    words, where = (place[1], place[2]) if place else (message, "")
    if found := UNKNOWN.fullmatch(words):
        name = (f"{where}.{found[1]}" if where else found[1])[:100]
        meant = nearest(found[1][:100], fields_at(kind, where))
        return ApiError(400, f"{name}: unknown parameter{meant}", param=name, code="unknown_parameter")
    if found := MISSING.fullmatch(words):
        name = f"{where}.{found[1]}" if where else found[1]
        return ApiError(400, f"{name}: this parameter is required", param=name, code="missing_parameter")
    if found := ENUM.fullmatch(words):
        choices = " or ".join(json.dumps(choice) for choice in choices_at(kind, where))
        return invalid(where or None, f"must be {choices}, not {json.dumps(found[1][:50])}")
    return invalid(where or None, plain(words) if where else f"the body {plain(words)}")


def fields_at(kind: type[Struct], where: str) -> list[str]:
    """Return the names of the fields that an object has at a place of a body, such as `messages[0]`.

    >>> fields_at(msgspec.defstruct("Body", [("more", list[msgspec.defstruct("One", ["role", "text"])])]), "more[3]")
    ['role', 'text']
    """
    return [name for one in kinds_at(kind, where) if is_struct(one) for name in one.__struct_encode_fields__]


def kinds_at(kind: type[Struct], where: str) -> list[Any]:
    """Return the types that a place of a body allows."""
    found: list[Any] = [kind]
    for step in STEP.findall(where):
        if step.startswith("["):
            found = [item for one in found if get_origin(one) is list for item in flat(get_args(one)[0])]
        else:
            found = [inner for one in found if is_struct(one) for inner in flat(field_kinds(one).get(step))]
    return found


def choices_at(kind: type[Struct], where: str) -> list[object]:
    """Return the values that a field allows, in the order in which they are written; none for other types.

    >>> choices_at(msgspec.defstruct("Body", [("form", Literal["float", "base64"] | None)]), "form")
    ['float', 'base64']
    """
    return [choice for one in kinds_at(kind, where) if get_origin(one) is Literal for choice in get_args(one)]


def field_kinds(kind: type[Struct]) -> dict[str, Any]:
    """Return the types of a Struct's fields, by their names in JSON."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def is_struct(kind: object) -> bool:
    """Tell whether a type is a Struct."""
    return isinstance(kind, type) and issubclass(kind, Struct)


def flat(kind: object) -> list[Any]:
    """Return the types that a type allows: those of a union, or itself."""
    return list(get_args(kind)) if isinstance(kind, UnionType) or get_origin(kind) is Union else [kind]


def nearest(name: str, fields: Sequence[str]) -> str:
    """Return a question about the field that was probably meant; "" when none is close.

    >>> nearest("max_token", ["max_tokens", "model"]), nearest("colour", ["max_tokens", "model"])
    ('; did you mean max_tokens?', '')
    >>> nearest("temp", ["temperature", "top_p"])
    '; did you mean temperature?'
    """
    import difflib  # here: only errors need it, and a tab waits for every import

    folded = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
    close = difflib.get_close_matches(folded, fields, n=1, cutoff=0.75)
    if not close and len(folded) >= 3:   # the beginning of one name only
        begun = [field for field in fields if field.startswith(folded)]
        close = begun if len(begun) == 1 else []
    return f"; did you mean {close[0]}?" if close else ""


def plain(words: str) -> str:
    """Return a message of msgspec in plain English.

    >>> plain("Expected `int` >= 1"), plain("Expected `str | array | null`, got `int`")
    ('must be an integer of at least 1', 'must be a string or a list, not an integer')
    """
    if found := KIND.fullmatch(words):
        kinds = [KINDS.get(kind, kind) for kind in found[1].split(" | ") if kind != "null"]   # null: as if absent
        given = "a decimal number" if found[2] == "float" else KINDS.get(found[2], found[2])
        return f"must be {' or '.join(kinds)}, not {given}"
    if found := RANGE.fullmatch(words):
        bound = "at least" if found[2] == ">=" else "at most"
        return f"must be {KINDS.get(found[1], found[1])} of {bound} {found[3].removesuffix('.0')}"
    if found := LENGTH.fullmatch(words):
        return f"must be {KINDS.get(found[1], found[1])} of at most {found[2]} {ITEMS.get(found[1], 'items')}"
    return words[:1].lower() + words[1:]
