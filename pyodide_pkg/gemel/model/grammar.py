"""What an answer may be: GBNF, a regular expression, a list of texts, or a JSON schema; checked, then compiled.

A grammar is immutable: any number of generations may use it at the same time.
"""

from __future__ import annotations

import json
import math
import weakref
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ..core import abi
from ..core.checks import flag, sequence, text, wrong_type
from ..core.closing import Closing
from ..core.errors import AnswerError, ArgumentError, SchemaError
from ..core.library import ERROR_SIZE, Handle, Library, check, pointer_at
from ..core.public import public

if TYPE_CHECKING:
    from ..schema.classes import AnswerClass
    from ..schema.compiler import Compiled

Schema = Mapping[str, Any] | bool | str | type[Any]
Kind = Literal["grammar", "regex", "choices", "json_schema"]
SCHEMA_KINDS = "a schema: a mapping, true or false, its JSON text, a dataclass or a pydantic model"


@dataclass(frozen=True)
class Form:
    """What a call says that its answer may be. Equal forms are the same grammar.

    Attributes:
        kind: the keyword that says so
        source: its text; of choices the texts; of a JSON schema a text that only equal ones have
        any_order: members of objects may come in any order
        strict: a schema that can't be enforced is an error; False: answers are checked at their end
        schema: the JSON schema
        made_of: the class whose schema it is
    """

    kind: Kind
    source: str | tuple[str, ...]
    any_order: bool = False
    strict: bool = True
    schema: Any = field(default=None, compare=False)
    made_of: AnswerClass | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """Characters of the source."""
        return len(self.source) if isinstance(self.source, str) else sum(map(len, self.source))

    def compiled(self, library: Library, model: Handle) -> Rules:
        """Compile it for a model. GrammarError."""
        if self.kind == "json_schema":
            from ..schema.compiler import compile_schema
            from ..schema.document import Read

            try:
                schema = compile_schema(Read(self.schema), any_order=self.any_order, strict=self.strict)
            except SchemaError as error:   # users know no other kinds of it
                raise SchemaError(str(error), error.path) from None
            handle = _opened(library, model, self.kind, "grammar", schema.grammar)
            return Rules(self, handle, replace(schema, grammar=""))   # the text is long, and not needed again
        if self.kind == "choices":
            return Rules(self, _chosen(library, model, self.source))
        return Rules(self, _opened(library, model, self.kind, self.kind, str(self.source)))


@dataclass(frozen=True)
class Rules:
    """A form, compiled for a model.

    Attributes:
        form: what it was made of
        handle: the core's object
        schema: of a JSON schema, what it became, without the text of its grammar
    """

    form: Form
    handle: Handle
    schema: Compiled | None = None

    def value(self, answer: str) -> Any:  # noqa: ANN401
        """Return the value of a whole answer to a JSON schema; of a class, its instance. AnswerError.

        It is checked here if the grammar does not enforce all of the schema.
        """
        if self.schema is None:
            raise ArgumentError(f"{self.form.kind}: only an answer to json_schema has a value: use its text")
        try:
            value = json.loads(answer, parse_float=_finite)
        except (ValueError, RecursionError) as error:
            raise AnswerError(f"the answer can't be read as JSON: {error}") from error
        if self.schema.unenforced:
            from ..schema.validator import InvalidValueError, validate

            try:
                validate(value, self.form.schema)
            except InvalidValueError as error:
                raise AnswerError(f"the answer is not valid: {error}") from error
            except SchemaError as error:
                raise AnswerError(f"the answer can't be checked: {error}") from error
        return value if self.form.made_of is None else self.form.made_of.made(value, answer)


@public
class Grammar(Closing):
    """Made by Model.grammar(). A context manager.

    Attributes:
        warnings: what a JSON schema says that is no assertion, such as an unknown format; with paths
        unenforced: paths of keywords of a JSON schema that this does not enforce, or only in part; only of strict=False

    >>> with model.grammar(regex="[0-9]+") as number:
    ...     number.matches("2026"), number.matches("20 26")
    (True, False)
    """

    copy_hint = "compile another one from the same text"

    def __init__(self, library: Library, rules: Rules) -> None:
        self.warnings = () if rules.schema is None else rules.schema.warnings
        self.unenforced = () if rules.schema is None else rules.schema.unenforced
        self._rules = rules
        self._library = library
        self._finalizer = weakref.finalize(self, rules.handle.close)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._rules.handle.closed

    def matches(self, text: str) -> bool:
        """Return whether the text is an answer that the grammar allows."""
        return bool(self._match(text) & abi.MATCH_WHOLE)

    def begins(self, text: str) -> bool:
        """Return whether some answer that the grammar allows begins with the text."""
        return bool(self._match(text) & abi.MATCH_BEGINS)

    def _match(self, given: str) -> int:
        data = _text("text", given, "a text").encode()
        with self._rules.handle as grammar:
            code = self._library.call("gemel_grammar_match", grammar, self._library.lend(data or b"\0"), len(data))
            return check(self._library, code, "a text in a grammar")

    def close(self) -> None:
        """Free it, once the generations that use it have ended."""
        self._finalizer()


def form_of(
    grammar: object, regex: object, choices: object, json_schema: object, *, any_order: object = False,
    strict: object = True,
) -> Form | Grammar | None:  # fmt: skip
    """Return the form that a call names, a compiled grammar, or None.

    ArgumentError for several, and for options without a schema.
    """
    given = {"grammar": grammar, "regex": regex, "choices": choices, "json_schema": json_schema}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ArgumentError(f"{named[0]} and {named[1]} both say what the answer may be: pass only one of them")
    is_free, is_strict = flag("any_order", any_order), flag("strict", strict)
    if json_schema is None and (is_free or not is_strict):
        raise ArgumentError(f"{'any_order' if is_free else 'strict'}: it is for json_schema alone: leave it out")
    if isinstance(grammar, Grammar | Form):   # a Form: of a call that makes other calls
        return grammar
    if grammar is not None:
        return Form("grammar", _text("grammar", grammar, "GBNF text, or what Model.grammar() returned"))
    if regex is not None:
        return Form("regex", _text("regex", regex, "a text"))
    if json_schema is not None:
        return _schema(json_schema, any_order=is_free, strict=is_strict)
    return None if choices is None else Form("choices", _choices(choices))


def _schema(given: object, *, any_order: bool, strict: bool) -> Form:
    from ..schema.classes import class_of
    from ..schema.document import document
    from ..schema.work import uncollected

    made_of = class_of(given)
    schema = given if made_of is None else made_of.schema
    if not isinstance(schema, Mapping | bool | str):
        raise wrong_type("json_schema", given, SCHEMA_KINDS)
    with uncollected():
        read = document(schema)
        return Form("json_schema", repr(read), any_order, strict, read, made_of)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:50]} is too large for a float")
    return value


def _opened(library: Library, model: Handle, kind: Kind, language: str, source: str) -> Handle:
    number = abi.GRAMMAR_REGEX if language == "regex" else abi.GRAMMAR_GBNF
    out, error = library.alloc(8), library.alloc(ERROR_SIZE)
    data = source.encode()
    lent = library.lend(data or b"\0")
    with model as address:
        code = library.call("gemel_grammar_open", address, number, lent, len(data), out, error, error.size)
        check(library, code, kind, error)
        return Handle(library, pointer_at(library, out), "gemel_grammar_close", model)


def _chosen(library: Library, model: Handle, choices: str | tuple[str, ...]) -> Handle:
    out, error = library.alloc(8), library.alloc(ERROR_SIZE)
    texts = [one.encode() for one in choices]
    lent, sizes = library.lend(b"".join(texts) or b"\0"), library.lend(array("i", map(len, texts)))
    with model as address:
        code = library.call("gemel_grammar_choices", address, lent, sizes, len(texts), out, error, error.size)
        check(library, code, "choices", error)
        return Handle(library, pointer_at(library, out), "gemel_grammar_close", model)


def _text(name: str, value: object, wanted: str) -> str:
    found = text(name, value, wanted)
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"{name}: character {error.start} is half of a surrogate pair") from None
    return found


def _choices(value: object) -> tuple[str, ...]:
    listed = sequence("choices", value, "a list of texts")
    chosen = tuple(_text(f"choices[{i}]", one, "a text") for i, one in enumerate(listed))
    if not chosen:
        raise ArgumentError("choices: there must be at least one text")
    return chosen
