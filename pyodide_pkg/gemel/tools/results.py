"""What a tool's function returns becomes the text of its message."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping
from typing import Any

from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.json_value import json_value
from ..core.scalars import number

DEPTH_MAX = 200


def result_text(value: object, name: str = "") -> str:
    """Return the text of a tool's result: a string as it is, everything else as compact JSON (None: null).

    Dataclasses, mappings, pydantic's models, members of an Enum and numbers of numpy have JSON. name: the tool's, for
    errors. ArgumentTypeError for what JSON can't hold: let the function return a text then.

    >>> result_text("sunny"), result_text(None), result_text({"°C": (21, 22.5)})
    ('sunny', 'null', '{"°C":[21,22.5]}')
    """
    where = f"the result of {name}" if name else "the result"
    try:
        plain = json_value(_plain(value), where, depth_max=DEPTH_MAX)
    except RecursionError:
        raise ArgumentError(f"{where}: it is nested more than {DEPTH_MAX} deep") from None
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}: let the function return a text, or lists, dicts and numbers") from None
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value with what json_value() does not know replaced by what it knows."""
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, str | bool) or value is None:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if callable(getattr(value, "model_dump_json", None)) and not isinstance(value, type):   # pydantic's
        return json.loads(value.model_dump_json())
    if isinstance(value, Mapping):
        return {key.value if isinstance(key, enum.Enum) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if getattr(getattr(value, "dtype", None), "kind", "") == "b" and getattr(value, "ndim", 1) == 0:   # numpy's
        return bool(value)
    found = number(value)
    return value if found is None else found
