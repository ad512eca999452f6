"""A tool: what a model reads about it, and the function that answers its calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..core.checks import callback, flag, shown, wrong_type
from ..core.errors import AnswerError, ArgumentError, ArgumentTypeError
from ..core.json_value import json_value
from ..core.public import public
from ..schema.classes import MismatchError
from .function import Parameters, name_of

NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
DEPTH_MAX = 200   # of a schema
SILENT = (   # keywords that say nothing about members without a name
    "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "examples", "type", "properties",
    "required",
)  # fmt: skip


@public
@dataclass(frozen=True)
class Tool:
    """A tool that a model may call.

    Attributes:
        name: letters, digits, `_`, `-` and `.`, at most 128
        description: what it does and when to call it; None: none is given
        parameters: the JSON schema of an object, whose members are the arguments
        strict: whether calls must be valid by the whole schema; False: by what of it a grammar can enforce
        function: what answers a call; None: the caller of gemel does

    >>> Tool("clock", "Tell the time.").as_json()["function"]
    {'name': 'clock', 'description': 'Tell the time.', 'parameters': {'type': 'object', 'properties': {}}}
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    strict: bool = True
    function: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "name")
        check_description(self.description, "description")
        flag("strict", self.strict)
        callback("function", self.function)
        object.__setattr__(self, "parameters", object_schema(self.parameters, "parameters"))

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Tool:
        """Return the tool of a function with type hints: name, description and schema are the function's.

        ArgumentTypeError for a parameter that a call can't pass, or whose type has no schema.
        """
        return tool_of(function, "function")

    def as_json(self) -> dict[str, Any]:
        """Return the tool in OpenAI's form, as chat templates read it."""
        text = {} if self.description is None else {"description": self.description}
        return {"type": "function", "function": {"name": self.name, **text, "parameters": self.parameters}}

    def call(self, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Call the function and return its result; of an async function, what is to be awaited.

        values: the arguments, as JSON has them; the function gets them as its hints say: instances of dataclasses,
        members of an Enum, tuples. AnswerError where they are not of these types. ArgumentError without a function.
        """
        if self.function is None:
            raise ArgumentError(f"the tool {self.name} has no function: answer its calls by messages")
        if not isinstance(values, Mapping):
            raise AnswerError(f"the call of {self.name} has {shown(values)} as arguments, not an object")
        try:
            arguments = dict(values) if self._takes is None else self._takes.arguments(values)
        except MismatchError as error:
            raise AnswerError(f"the call of {self.name} does not fit its function: {error}") from error
        except RecursionError as error:
            raise AnswerError(f"the call of {self.name} is nested too deep") from error
        return self.function(**arguments)

    @cached_property
    def _takes(self) -> Parameters | None:
        """What the function takes; None: its hints don't say it, and it gets values as they are."""
        try:
            return None if self.function is None else Parameters(self.function, self.name)
        except ArgumentError:
            return None


def tool_of(function: Callable[..., Any], where: str) -> Tool:
    """Return the tool of a function. where: what errors begin with."""
    if not callable(function) or isinstance(function, type):
        raise wrong_type(where, function, "a function with type hints")
    name = name_of(function)
    if name == "<lambda>":
        raise ArgumentTypeError(f"{where}: a lambda has no name and no types: write a function with def")
    check_name(name, where)
    takes = Parameters(function, f"{where} ({name})")
    return Tool(name, takes.description or None, takes.schema, function=function)


def check_name(name: object, where: str) -> None:
    """Refuse what is not a name: it is written into prompts and grammars."""
    if not isinstance(name, str):
        raise wrong_type(where, name, "a string")
    if not NAME.fullmatch(name):
        words = "must be 1 to 128 ASCII letters, digits, _, - or ."
        raise ArgumentError(f"{where}: {shown(name)} is not a tool's name: it {words}")


def check_description(description: object, where: str) -> None:
    """Refuse what is not a text, and not None."""
    if description is not None and not isinstance(description, str):
        raise wrong_type(where, description, "a string, or None")
    json_value(description, where, depth_max=1)


def object_schema(given: object, where: str) -> dict[str, Any]:
    """Return the schema of an object; nothing, or {}, is that of an object without members."""
    if given is None:
        return {"type": "object", "properties": {}}
    if not isinstance(given, Mapping):
        raise wrong_type(where, given, 'the JSON schema of an object: {"type": "object", "properties": {...}}')
    schema: dict[str, Any] = json_value(given, where, depth_max=DEPTH_MAX)
    if not schema:
        return {"type": "object", "properties": {}}
    root, seen = schema, set()
    while "type" not in root and "properties" not in root and isinstance(root.get("$ref"), str):
        reference = root["$ref"]
        found = _found(schema, reference)
        if reference in seen or not isinstance(found, dict):
            raise ArgumentError(f"{where}.$ref: {shown(reference)} leads to no schema of an object in it")
        seen.add(reference)
        root = found
    kind = root.get("type", "object" if "properties" in root else None)
    if kind != "object":
        what = "has no type" if kind is None else f"has the type {shown(kind)}"
        raise ArgumentError(f'{where}: the schema {what}: arguments are an object: write "type": "object"')
    if not isinstance(root.get("properties", {}), dict):
        raise wrong_type(f"{where}.properties", root["properties"], "an object of schemas")
    return schema if "type" in schema or root is not schema else {"type": "object", **schema}


def arguments_schema(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of what a model may pass: only named arguments, unless the parameters speak of others.

    >>> arguments_schema({"type": "object", "properties": {}})
    {'additionalProperties': False, 'type': 'object', 'properties': {}}
    """
    named = parameters.get("properties", {})
    speaks = any(name not in SILENT for name in parameters) or any(
        name not in named for name in parameters.get("required", ())
    )
    return parameters if speaks else {"additionalProperties": False, **parameters}


def _found(schema: dict[str, Any], reference: str) -> object:
    """Return what a reference inside of a schema leads to; None: nothing."""
    if not reference.startswith("#/"):
        return None
    found: object = schema
    for step in reference[2:].split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found
