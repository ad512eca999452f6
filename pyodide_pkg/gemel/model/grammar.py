"""What an answer may be, compiled for a model: GBNF, a regular expression, a list of texts, or a JSON schema.

A grammar is immutable: any number of generations may use it at the same time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..core import abi
from ..core.checks import sequence, text, wrong_type
from ..core.closing import Closing
from ..core.errors import ArgumentError
from ..core.library import ERROR_SIZE, Handle, Library, check, pointer_at
from ..schema.compiler import compile_schema


@dataclass(frozen=True)
class Form:
    """The source of a grammar: exactly one of three.

    Attributes:
        warnings: what a JSON schema says that `grammar` does not enforce
    """

    grammar: str | None = None
    regex: str | None = None
    choices: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    def opened(self, library: Library, model: Handle) -> Handle:
        """Compile it for a model."""
        out, error = library.alloc(8), library.alloc(ERROR_SIZE)
        tail = (out, error, error.size)
        with model as address:
            if self.choices is not None:
                texts = [one.encode() for one in self.choices]
                lent, sizes = library.lend(b"".join(texts) or b"\0"), library.lend(array("i", map(len, texts)))
                code = library.call("gemel_grammar_choices", address, lent, sizes, len(texts), *tail)
                check(library, code, "choices", error)
            else:
                source = abi.GRAMMAR_GBNF if self.regex is None else abi.GRAMMAR_REGEX
                data = (self.grammar or self.regex or "").encode()
                lent = library.lend(data or b"\0")
                code = library.call("gemel_grammar_open", address, source, lent, len(data), *tail)
                check(library, code, "grammar" if self.regex is None else "regex", error)
            return Handle(library, pointer_at(library, out), "gemel_grammar_close", model)


class Grammar(Closing):
    """Made by Model.grammar(). A context manager.

    Attributes:
        warnings: what a JSON schema says that is not enforced, such as an unknown format; with paths

    >>> with model.grammar(regex="[0-9]+") as number:
    ...     number.matches("2026"), number.matches("20 26")
    (True, False)
    """

    copy_hint = "compile another one from the same text"

    def __init__(self, library: Library, model: Handle, form: Form) -> None:
        self.warnings = form.warnings
        self._library = library
        self.handle = form.opened(library, model)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.handle.closed

    def matches(self, text: str) -> bool:
        """Return whether the text is an answer that the grammar allows."""
        return bool(self._match(text) & abi.MATCH_WHOLE)

    def begins(self, text: str) -> bool:
        """Return whether some answer that the grammar allows begins with the text."""
        return bool(self._match(text) & abi.MATCH_BEGINS)

    def _match(self, given: str) -> int:
        data = _text("text", given, "a text").encode()
        with self.handle as grammar:
            code = self._library.call("gemel_grammar_match", grammar, self._library.lend(data or b"\0"), len(data))
            return check(self._library, code, "a text in a grammar")

    def close(self) -> None:
        """Free it, once the generations that use it have ended."""
        self.handle.close()


def form_of(
    grammar: object, regex: object, choices: object, json_schema: object, *, any_order: bool = False
) -> Form | Grammar | None:
    """Return the source that a call names, a compiled grammar, or None. ArgumentError for several."""
    given = {"grammar": grammar, "regex": regex, "choices": choices, "json_schema": json_schema}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ArgumentError(f"{named[0]} and {named[1]} both say what the answer may be: pass only one of them")
    if isinstance(grammar, Grammar):
        return grammar
    if grammar is not None:
        return Form(grammar=_text("grammar", grammar, "GBNF text, or what Model.grammar() returned"))
    if regex is not None:
        return Form(regex=_text("regex", regex, "a text"))
    if json_schema is not None:
        if not isinstance(json_schema, Mapping | bool | str):
            raise wrong_type("json_schema", json_schema, "a schema: a mapping, true or false, or its JSON text")
        made = compile_schema(json_schema, any_order=any_order)
        return Form(grammar=made.grammar, warnings=made.warnings)
    return None if choices is None else Form(choices=_choices(choices))


@contextmanager
def compiled(library: Library, model: Handle, form: Form | Grammar | None) -> Iterator[Grammar | None]:
    """Compile a source for the calls of the block; a grammar stays as it is."""
    if not isinstance(form, Form):
        yield form
        return
    with Grammar(library, model, form) as grammar:
        yield grammar


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
