"""What a request says about the form of its answer: response_format, grammar, json_schema."""

from __future__ import annotations

from typing import Any

from ..http.errors import invalid
from . import wire

TYPES = "text, json_object or json_schema"
FIELDS = {   # of response_format, by its type; those of json_schema are in SCHEMA_FIELDS
    "text": ("type",), "json_object": ("type", "schema"), "json_schema": ("type", "json_schema", "schema"),
}  # fmt: skip
SCHEMA_FIELDS = ("name", "description", "schema", "strict")


def form_of(body: wire.Sampled) -> tuple[dict[str, Any], str]:
    """Return the keywords of Batch.generate for a request's answers, and the parameter that they come from."""
    found = {name: form for name in ("response_format", "grammar", "json_schema") if (form := _read(body, name))}
    if len(found) > 1:
        first, second = list(found)[:2]
        raise invalid(second, f"it can't be combined with {first}: send only one of them")
    return next(((form, name) for name, form in found.items()), ({}, ""))


def _read(body: wire.Sampled, name: str) -> dict[str, Any]:
    value = getattr(body, name)
    if value is None or name == "grammar":
        return {} if value is None else {"grammar": value}
    if name == "json_schema":
        return {"json_schema": _schema(value, name)}
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise invalid(name, f"must be an object with a type: {TYPES}")
    kind = value["type"]
    if kind not in FIELDS:
        raise invalid(name, f"its type must be {TYPES}, not {kind[:50]!r}")
    _check_fields(value, name, FIELDS[kind], f" where its type is {kind}")
    if kind == "text":
        return {}
    if kind == "json_object":   # with a schema, as llama.cpp has it
        schema = value.get("schema")
        return {"json_schema": _schema({"type": "object"} if schema is None else schema, f"{name}.schema")}
    if value.get("schema") is not None and value.get("json_schema") is not None:
        raise invalid(f"{name}.schema", "it can't be combined with json_schema: send only one of them")
    if value.get("schema") is not None:
        return {"json_schema": _schema(value["schema"], f"{name}.schema")}
    return _named_schema(value.get("json_schema"), name)


def _named_schema(value: Any, name: str) -> dict[str, Any]:  # noqa: ANN401
    """Read OpenAI's form: a schema with a name."""
    if not isinstance(value, dict) or "schema" not in value:
        raise invalid(name, "its json_schema must be an object that has a schema")
    where = f"{name}.json_schema"
    _check_fields(value, where, SCHEMA_FIELDS)
    for field in ("name", "description"):
        if not isinstance(value.get(field), str | None):
            raise invalid(f"{where}.{field}", "must be a string")
    if not isinstance(value.get("strict"), bool | None):
        raise invalid(f"{where}.strict", "must be true or false")
    form: dict[str, Any] = {"json_schema": _schema(value["schema"], f"{where}.schema")}
    return form if value.get("strict") is not False else {**form, "strict": False}


def _check_fields(value: dict[str, Any], where: str, known: tuple[str, ...], when: str = "") -> None:
    for field in value:
        if field not in known:
            raise invalid(f"{where}.{field[:50]}", f"there is no such field{when}: {', '.join(known)} are allowed")


def _schema(value: Any, param: str) -> dict[str, Any] | bool:  # noqa: ANN401
    if not isinstance(value, dict | bool):
        raise invalid(param, "must be a JSON schema: an object, true or false")
    return value
