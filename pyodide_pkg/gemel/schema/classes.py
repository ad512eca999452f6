"""Classes to JSON schemas, and values of JSON to their instances: dataclasses, TypedDicts, and pydantic's models.

A dataclass is read here, by the types of its fields. A pydantic model is recognised by its methods, and asked.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import json
import math
import types
import typing
from collections import abc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from ..core.errors import AnswerError, ArgumentError, ArgumentTypeError

SCALARS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
BARE: dict[Any, str] = {list: "array", tuple: "array", dict: "object"}
ABSTRACT: dict[Any, Any] = {   # types that say less than the list or dict that is made
    abc.Sequence: list, abc.Collection: list, abc.Iterable: list, abc.Mapping: dict, abc.MutableMapping: dict,
}   # fmt: skip
JSON_SCHEMA = "json_schema"   # what errors about a class begin with
KNOWN = (
    "str, int, float, bool, None, list, tuple, dict with str keys, Sequence, Mapping, Literal, Enum, Optional, Union, "
    "Any, dataclasses, TypedDicts and pydantic models"
)


class AnswerClass(Protocol):
    """A class that answers become instances of."""

    schema: Mapping[str, Any]

    def made(self, value: Any, text: str) -> Any:  # noqa: ANN401
        """Return the instance for a value, and the text that it was read from. AnswerError."""


def class_of(given: object) -> AnswerClass | None:
    """Return what is known of a class; None for what is not a class. ArgumentTypeError for other classes."""
    if not isinstance(given, type):
        if dataclasses.is_dataclass(given) or callable(getattr(given, "model_json_schema", None)):
            name = type(given).__name__
            raise ArgumentTypeError(f"json_schema is an instance of {name}: pass the class {name}")
        return None
    if _is_pydantic(given):
        return Pydantic(given)
    _check_plain(given, f"{JSON_SCHEMA}: {given.__name__}")
    if dataclasses.is_dataclass(given) or typing.is_typeddict(given):
        return Typed(given)
    raise ArgumentTypeError(
        f"json_schema={given.__name__}: of classes only dataclasses, TypedDicts and pydantic models have a schema"
    )


class Pydantic:
    """A model of pydantic 2."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        self._model = model
        self.schema: Mapping[str, Any] = model.model_json_schema()

    def made(self, value: Any, text: str) -> Any:  # noqa: ANN401
        """Let the model read the text, with its own validators."""
        try:
            return self._model.model_validate_json(text)
        except ValueError as error:   # pydantic's ValidationError is one
            raise AnswerError(f"{self._model.__name__} refuses the answer: {_told(error)}") from error


def _told(error: Any) -> str:  # noqa: ANN401
    """Return what a ValidationError says, on one line."""
    found = error.errors() if callable(getattr(error, "errors", None)) else []
    return "; ".join(f"{'/'.join(['#', *map(str, one['loc'])])}: {one['msg']}" for one in found) or str(error)


class MismatchError(Exception):
    """A value is not of a type."""


class Typed:
    """A dataclass or TypedDict."""

    def __init__(self, kind: type) -> None:
        self._kind, self._types = kind, Types(JSON_SCHEMA)
        root = self._types.schema(kind, JSON_SCHEMA)
        self.schema: Mapping[str, Any] = {**root, "$defs": self._types.defs}

    def made(self, value: Any, text: str) -> Any:  # noqa: ANN401
        """Return the instance; of a TypedDict a dict."""
        try:
            return self._types.made(self._kind, value)
        except MismatchError as error:
            raise AnswerError(f"the answer is not a {self._kind.__name__}: {error}") from error
        except RecursionError as error:
            raise AnswerError(f"the answer is nested too deep for a {self._kind.__name__}") from error


class Types:
    """Types to schemas, which share the definitions of classes, and values of JSON to values of these types.

    Attributes:
        defs: the schemas of the classes that were found so far, for `$defs`
    """

    def __init__(self, about: str) -> None:
        """about: what errors begin with."""
        self._about = about
        self._fields: dict[type, dict[str, tuple[Any, bool]]] = {}   # of each class: types, and whether it is required
        self._names: dict[type, str] = {}
        self.defs: dict[str, Any] = {}

    # ---- To a schema ------------------------------------------------------------------------------------------------

    def _ref(self, kind: type) -> dict[str, Any]:
        """Return the reference to a class; describe it where that was not done."""
        if kind not in self._names:
            taken = self._names.values()
            name = next(one for one in _numbered(kind.__name__) if one not in taken)
            self._names[kind] = name
            self._fields[kind] = fields = _fields_of(kind, self._about)
            self.defs[name] = {
                "type": "object",
                "properties": {
                    field: self.schema(hint, f"{self._about}: {kind.__name__}.{field}")
                    for field, (hint, _) in fields.items()
                },
                "required": [field for field, (_, is_required) in fields.items() if is_required],
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{self._names[kind]}"}

    def schema(self, hint: Any, where: str) -> dict[str, Any]:  # noqa: ANN401
        """Return the schema of a type. ArgumentTypeError, with the place, where it has none."""
        hint, origin, arguments = _parts(hint)
        if hint is Any or hint is object:
            return {}
        if origin is None and isinstance(hint, type):
            return self._class(hint, where)
        if origin is typing.Annotated:
            if strange := [one for one in arguments[1:] if not isinstance(one, str)]:
                raise _refused(where, f"{strange[0]!r} of Annotated can't be enforced: pass a JSON schema instead")
            return {**self.schema(arguments[0], where), "description": " ".join(arguments[1:])}
        if origin is typing.Literal:
            return _constants(arguments, where)
        if origin in (typing.Union, types.UnionType):
            return {"anyOf": [self.schema(one, where) for one in arguments]}
        if origin is list:
            return {"type": "array", "items": self.schema(arguments[0], where)}
        if origin is tuple and arguments[1:] == (...,):
            return {"type": "array", "items": self.schema(arguments[0], where)}
        if origin is tuple:
            items = [self.schema(one, where) for one in arguments]
            return {
                "type": "array", **({"prefixItems": items} if items else {}), "minItems": len(items),
                "maxItems": len(items),
            }   # fmt: skip
        if origin is dict and arguments[0] is str:
            return {"type": "object", "additionalProperties": self.schema(arguments[1], where)}
        raise _refused(where, f"the type {_name(hint)} has no schema here: {KNOWN} have one")

    def _pydantic(self, model: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the reference to a model of pydantic, and keep its schemas, by names that no other class has."""
        if model not in self._names:
            whole = model.model_json_schema()
            parts = whole.pop("$defs", {})
            root = str(whole.get("$ref", "")).removeprefix("#/$defs/")   # of a model that contains itself
            if not root:
                root = next(one for one in _numbered(model.__name__) if one not in parts)
                parts[root] = whole
            taken, names = {*self._names.values(), *self.defs}, {}
            for name in parts:
                names[name] = next(one for one in _numbered(name) if one not in taken)
                taken.add(names[name])
            self._names[model] = names[root]
            self.defs |= {names[name]: _renamed(part, names) for name, part in parts.items()}
        return {"$ref": f"#/$defs/{self._names[model]}"}

    def _class(self, kind: type, where: str) -> dict[str, Any]:
        if name := SCALARS.get(kind) or BARE.get(kind):
            return {"type": name}
        if issubclass(kind, enum.Enum):
            return _constants([one.value for one in kind], where)
        _check_plain(kind, where)
        if _is_pydantic(kind):
            return self._pydantic(kind)
        if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
            return self._ref(kind)
        raise _refused(where, f"the type {_name(kind)} has no schema here: {KNOWN} have one")

    # ---- To an instance ---------------------------------------------------------------------------------------------

    def made(self, hint: Any, value: Any, where: str = "#") -> Any:  # noqa: ANN401
        """Return a value as a type has it whose schema was made. MismatchError."""
        hint, origin, arguments = _parts(hint)
        if hint is Any or hint is object:
            return value
        if origin is typing.Annotated:
            return self.made(arguments[0], value, where)
        if origin is typing.Literal:
            return _one_of(arguments, arguments, value, where)
        if origin in (typing.Union, types.UnionType):
            return self._first(arguments, value, where)
        if origin is not None:
            return self._collected(origin, arguments, value, where)
        if hint in self._fields:
            return self._instance(hint, value, where)
        if _is_pydantic(hint):
            return _validated(hint, value, where)
        if issubclass(hint, enum.Enum):
            members = list(hint)
            return _one_of(members, [one.value for one in members], value, where)
        return _scalar(hint, value, where)

    def _first(self, kinds: tuple[Any, ...], value: Any, where: str) -> Any:  # noqa: ANN401
        for kind in kinds:
            try:
                return self.made(kind, value, where)
            except MismatchError:
                continue
        raise MismatchError(f"{where}: {value!r:.50} is not {' or '.join(map(_name, kinds))}")

    def _collected(self, origin: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Any:  # noqa: ANN401
        if origin is dict:
            _check(dict, value, where)
            return {key: self.made(arguments[1], one, f"{where}/{key}") for key, one in value.items()}
        _check(list, value, where)
        is_fixed = origin is tuple and arguments[1:] != (...,)
        kinds = arguments if is_fixed else (arguments[0],) * len(value)
        if len(kinds) != len(value):
            raise MismatchError(f"{where}: it has {len(value)} items, not {len(kinds)}")
        pairs = enumerate(zip(kinds, value, strict=True))
        return origin(self.made(kind, one, f"{where}/{i}") for i, (kind, one) in pairs)

    def _instance(self, kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401
        _check(dict, value, where)
        fields = self._fields[kind]
        lacking = [name for name, (_, is_required) in fields.items() if is_required and name not in value]
        if lacking or not value.keys() <= fields.keys():
            raise MismatchError(f"{where}: its members are not those of {kind.__name__}")
        given = {name: self.made(fields[name][0], one, f"{where}/{name}") for name, one in value.items()}
        try:
            return kind(**given)
        except (TypeError, ValueError) as error:   # of __post_init__
            raise MismatchError(f"{where}: {kind.__name__} refuses it: {error}") from error


def _parts(hint: Any) -> tuple[Any, Any, tuple[Any, ...]]:  # noqa: ANN401
    """Return a type with its origin and arguments; for None its type, for a bare typing.List or Sequence list."""
    if hint is None:
        return type(None), None, ()
    if isinstance(hint, type) and not typing.get_args(hint):
        return ABSTRACT.get(hint, hint), None, ()
    origin = typing.get_origin(hint)
    origin = ABSTRACT.get(origin, origin)
    if origin in BARE and not hasattr(hint, "__args__"):   # tuple[()] has them
        return origin, None, ()
    return hint, origin, typing.get_args(hint)


def _is_pydantic(kind: object) -> bool:
    return isinstance(kind, type) and all(
        callable(getattr(kind, name, None)) for name in ("model_json_schema", "model_validate_json")
    )


def _validated(model: Any, value: object, where: str) -> Any:  # noqa: ANN401
    """Return the instance of a model of pydantic. MismatchError."""
    try:
        return model.model_validate_json(json.dumps(value))
    except ValueError as error:   # pydantic's ValidationError is one
        raise MismatchError(f"{where}: {model.__name__} refuses it: {_told(error)}") from error


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Return a schema of pydantic with other names of its definitions."""
    if isinstance(schema, dict):
        found = {key: _renamed(part, names) for key, part in schema.items()}
        name = str(found.get("$ref", "")).removeprefix("#/$defs/")
        return {**found, "$ref": f"#/$defs/{names[name]}"} if name in names else found
    return [_renamed(part, names) for part in schema] if isinstance(schema, list) else schema


def _check_plain(kind: type, where: str) -> None:
    """Refuse a dataclass of pydantic: its constraints are not known here."""
    if dataclasses.is_dataclass(kind) and hasattr(kind, "__pydantic_validator__"):
        raise _refused(where, f"{kind.__name__} is a pydantic dataclass: pass a BaseModel")


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}{i}" for i in itertools.count(2))


def _fields_of(kind: Any, about: str) -> dict[str, tuple[Any, bool]]:  # noqa: ANN401
    """Return the type of each field, and whether an answer must have it."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise ArgumentError(f"{about}: {kind.__name__}: its types can't be read: {error}") from None
    if getattr(kind, "__type_params__", ()) or getattr(kind, "__parameters__", ()):
        raise _refused(f"{about}: {kind.__name__}", "a generic class has no schema: write the types into it")
    if typing.is_typeddict(kind):
        return {name: _required(hint, is_required=name in kind.__required_keys__) for name, hint in hints.items()}
    for name, hint in hints.items():
        if isinstance(hint, dataclasses.InitVar):
            raise _refused(f"{about}: {kind.__name__}.{name}", "an InitVar has no schema")
    return {
        field.name: (
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
        if field.init
    }


def _required(hint: Any, *, is_required: bool) -> tuple[Any, bool]:  # noqa: ANN401
    """Return the type in Required[...] or NotRequired[...], and which of them it is."""
    origin = typing.get_origin(hint)
    if origin in (typing.Required, typing.NotRequired):
        return typing.get_args(hint)[0], origin is typing.Required
    return hint, is_required


def _constants(values: Iterable[Any], where: str) -> dict[str, Any]:
    """Return the schema of constants; with a type, which models expect, if they are texts."""
    found = [_constant(value, where) for value in values]
    return {**({"type": "string"} if {type(one) for one in found} == {str} else {}), "enum": found}


def _constant(value: Any, where: str) -> Any:  # noqa: ANN401
    plain = value.value if isinstance(value, enum.Enum) else value
    if type(plain) not in SCALARS or (isinstance(plain, float) and not math.isfinite(plain)):
        raise _refused(where, f"the constant {value!r:.50} must be a string, a number, a boolean or None")
    return plain


def _one_of(results: Any, constants: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    for result, constant in zip(results, constants, strict=True):
        plain = constant.value if isinstance(constant, enum.Enum) else constant
        if isinstance(plain, bool) == isinstance(value, bool) and plain == value:
            return result
    raise MismatchError(f"{where}: {value!r:.50} is not one of the constants")


def _scalar(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)   # 1.0 is an integer of JSON schema
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise MismatchError(f"{where}: {value!r:.50} is too large for a float") from None
    _check({tuple: list}.get(kind, kind), value, where)
    return tuple(value) if kind is tuple else value


def _check(kind: type, value: object, where: str) -> None:
    if type(value) is not kind:
        raise MismatchError(f"{where}: {value!r:.50} is not of type {_name(kind)}")


def _name(hint: Any) -> str:  # noqa: ANN401
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


def _refused(where: str, why: str) -> ArgumentTypeError:
    return ArgumentTypeError(f"{where}: {why}")
