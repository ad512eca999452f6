"""What a request says about the form of its answer: response_format, grammar, json_schema."""

from __future__ import annotations

from typing import Any

from ..http.errors import invalid
from . import wire

TYPES = "text, json_object or json_schema"


def form_of(body: wire.Sampled) -> tuple[dict[str, Any], str]:
    """Return the keyword of Model.grammar for a request's answers, and the parameter that it comes from."""
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
    if value["type"] == "text":
        return {}
    if value["type"] == "json_object":   # with a schema, as llama.cpp has it
        return {"json_schema": _schema(value.get("schema", {"type": "object"}), f"{name}.schema")}
    if value["type"] != "json_schema":
        raise invalid(name, f"its type must be {TYPES}, not {value['type'][:50]!r}")
    if "schema" in value:
        return {"json_schema": _schema(value["schema"], f"{name}.schema")}
    inner = value.get("json_schema")
    if not isinstance(inner, dict) or "schema" not in inner:
        raise invalid(name, "its json_schema must be an object that has a schema")
    return {"json_schema": _schema(inner["schema"], f"{name}.json_schema.schema")}


def _schema(value: Any, param: str) -> dict[str, Any] | bool:  # noqa: ANN401
    if not isinstance(value, dict | bool):
        raise invalid(param, "must be a JSON schema: an object, true or false")
    return value
