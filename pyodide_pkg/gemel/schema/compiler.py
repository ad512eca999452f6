"""A JSON schema to a grammar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .errors import refused
from .places import Places, draft_of
from .reader import Reader
from .writer import Writer


@dataclass(frozen=True)
class Compiled:
    """What compile_schema makes.

    Attributes:
        grammar: GBNF
        warnings: what the schema says that is not enforced, with paths
    """

    grammar: str
    warnings: tuple[str, ...]


def compile_schema(schema: Mapping[str, Any] | bool | str, *, any_order: bool = False) -> Compiled:
    """Return the grammar of the compact JSON texts of values that are valid.

    schema: an object, true or false, or the JSON text of one. any_order: members may come in any order, else in that of
    `properties`. SchemaError: it is invalid, or has an assertion that can't be enforced.
    """
    if isinstance(schema, str):
        try:
            schema = json.loads(schema, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise refused("#", f"not valid JSON: {error}") from None
    reader = Reader(Places(schema, draft_of(schema)))
    grammar = Writer(reader, any_order=any_order).text((reader.places.root,))
    return Compiled(grammar, tuple(dict.fromkeys(reader.warnings)))
