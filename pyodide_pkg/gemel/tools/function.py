"""A function's type hints and docstring become a description and a schema, and values of JSON become its arguments."""

from __future__ import annotations

import functools
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from ..core.checks import shown
from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.hints import did_you_mean
from ..schema.classes import MismatchError, Types
from .docstring import described

KINDS = inspect.Parameter
REFUSED = {
    KINDS.POSITIONAL_ONLY: "is positional-only, but a call has names: leave the / out",
    KINDS.VAR_POSITIONAL: "takes any number of arguments, but a call has names: pass a list as one parameter",
    KINDS.VAR_KEYWORD: "takes any names, but a schema lists them: write each one as a parameter",
}


class Parameters:
    """What a function takes.

    Attributes:
        description: of the function; "" where it has no docstring
        schema: of an object with the parameters as members
    """

    def __init__(self, function: Callable[..., Any], where: str) -> None:
        """where: what errors begin with. ArgumentTypeError for a parameter that a call can't pass or has no schema."""
        self._types = Types(where)
        hints, parameters = _hints(function, where), _parameters(function, where)
        self.description, texts = described(_doc(function), parameters)
        properties = {}
        self._hints: dict[str, Any] = {}
        self._required = [name for name, one in parameters.items() if one.default is KINDS.empty]
        for name, one in parameters.items():
            if one.kind in REFUSED:
                raise ArgumentTypeError(f"{where}: the parameter {one} {REFUSED[one.kind]}")
            if name not in hints:
                raise ArgumentTypeError(f"{where}: the parameter {name} has no type: write, for example, {name}: str")
            self._hints[name] = hints[name]
            schema = self._types.schema(hints[name], f"{where}: the parameter {name}")
            text = {"description": texts[name]} if texts.get(name) and "description" not in schema else {}
            properties[name] = {**schema, **text, **_default(one.default)}
        self.schema: dict[str, Any] = {
            "type": "object", "properties": properties, **({"required": self._required} if self._required else {}),
            "additionalProperties": False, **({"$defs": self._types.defs} if self._types.defs else {}),
        }   # fmt: skip

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the function's arguments for values of JSON. MismatchError."""
        if lacking := [name for name in self._required if name not in values]:
            raise MismatchError(f"there is no {lacking[0]!r}")
        for name in values:
            if name not in self._hints:
                raise MismatchError(f"there is no parameter {shown(name)}{did_you_mean(str(name), self._hints)}")
        return {name: self._types.made(self._hints[name], value, f"#/{name}") for name, value in values.items()}


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, of that which a partial calls, or of an object's class."""
    inner = _inner(function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what has the hints: a function, or the method that calls an object."""
    inner = _inner(function)
    return inner if inspect.isroutine(inner) else inner.__call__   # type: ignore[operator]


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(_called(function), include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        words = "define what they name at the top of its module"
        raise ArgumentError(f"{where}: its types can't be read: {error}: {words}") from None


def _parameters(function: Callable[..., Any], where: str) -> dict[str, inspect.Parameter]:
    """Return the parameters that are left to a call: a partial has given others."""
    given = function.keywords if isinstance(function, functools.partial) else {}
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError) as error:
        raise ArgumentTypeError(f"{where}: its parameters can't be read: {error}: wrap it in a function") from None
    return {name: one for name, one in parameters.items() if name not in given}


def _doc(function: Callable[..., Any]) -> str | None:
    inner = _inner(function)
    return getattr(_called(function), "__doc__", None) if inspect.isroutine(inner) else _object_doc(inner)


def _object_doc(given: object) -> str | None:
    call = type(given).__call__.__doc__
    return call or type(given).__doc__


def _default(value: object) -> dict[str, Any]:
    """Return the annotation of a default that JSON can hold. None says only that the parameter may be left out."""
    plain = value.value if isinstance(value, Enum) else value
    if plain is None or plain is KINDS.empty:
        return {}
    try:
        return {"default": json.loads(json.dumps(plain, allow_nan=False))}
    except (TypeError, ValueError, RecursionError):
        return {}
