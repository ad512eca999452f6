"""A JSON schema to a grammar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import SchemaError
from .document import Read, document
from .errors import NotEnforcedError, refused
from .members import MemberWriter, QuotedWriter
from .places import Places, draft_of
from .reader import Reader
from .rules import common
from .style import Style, kinds_of_members
from .work import OverBudgetError, limited, uncollected, within
from .writer import Writer


@dataclass(frozen=True)
class Compiled:
    """What compile_schema makes.

    Attributes:
        grammar: GBNF
        warnings: what the schema says that is not an assertion that is known, with paths
        unenforced: paths of the keywords that the grammar does not enforce, or only in part; () of a strict schema.
            If there are any, check a finished value by validator.validate
    """

    grammar: str
    warnings: tuple[str, ...]
    unenforced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """A schema as rules of a larger grammar, which also has the common ones.

    Attributes:
        first: the rule of its values
        lines: the rules that it needs
        warnings, unenforced: as in Compiled
    """

    first: str
    lines: tuple[str, ...]
    warnings: tuple[str, ...]
    unenforced: tuple[str, ...]


def compile_schema(
    schema: Mapping[str, Any] | bool | str | Read, *, any_order: bool = False, strict: bool = True
) -> Compiled:
    """Return the grammar of the compact JSON texts of values that are valid.

    schema: an object, true or false, or the JSON text of one. any_order: members may come in any order, else in that of
    `properties`. strict: what can't be enforced is an error; False: it is allowed, and `unenforced` has its path.
    SchemaError: it is invalid, or has an assertion that can't be enforced.
    """
    made = write_rules(schema, any_order=any_order, strict=strict)
    grammar = "\n".join([f"root ::= {made.first}", *made.lines, common()]) + "\n"
    return Compiled(grammar, made.warnings, made.unenforced)


def write_rules(
    schema: Mapping[str, Any] | bool | str | Read, *, prefix: str = "", is_spaced: bool = False,
    any_order: bool = False, style: Style | None = None, strict: bool = True,
) -> Written:  # fmt: skip
    """Return the rules of a schema. prefix: their names begin so. is_spaced: a space may follow commas and colons.

    style: how objects are written instead of as JSON; other values are left out. The rest is as in compile_schema.
    """
    with within(), uncollected():   # what a schema was read into is gone before Python searches for garbage again
        return _written(schema, prefix, style, is_spaced=is_spaced, any_order=any_order, strict=strict)


def _written(
    schema: Mapping[str, Any] | bool | str | Read, prefix: str, style: Style | None, *, is_spaced: bool,
    any_order: bool, strict: bool,
) -> Written:  # fmt: skip
    at = ["#"]
    reader: Reader | None = None
    try:
        read = document(schema)
        reader = Reader(Places(read, draft_of(read)), strict=strict)
        at = reader.path
        if style is not None and style.quote is not None:
            writer: Writer = QuotedWriter(reader, style.quote, prefix=prefix)
        else:
            writer = Writer(reader, any_order=any_order, prefix=prefix, is_spaced=is_spaced)
        writer = writer if style is None else MemberWriter(writer, style)
        first, lines = writer.lines((reader.places.root,))
    except NotEnforcedError as error:
        raise SchemaError(str(error), error.path) from None
    except OverBudgetError:
        raise refused(at[-1], "it takes too many steps from here on: simplify or split it") from None
    except RecursionError:
        raise refused(at[-1], "schemas are nested too deep") from None
    finally:
        if reader is not None:
            reader.possible.close()
    return Written(first, tuple(lines), tuple(dict.fromkeys(reader.warnings)), tuple(dict.fromkeys(reader.unenforced)))


def kinds_by_member(schema: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return the kinds of values (style.KINDS) that an object's members may have; {}: the schema can't be read."""
    with limited():
        try:
            read = document(schema)
            return kinds_of_members(Reader(Places(read, draft_of(read)), strict=False))
        except (SchemaError, OverBudgetError, RecursionError):
            return {}
