"""Options that say what an answer may be: a JSON schema, a grammar, a regular expression or a few texts.

Their names are llama.cpp's where it has them. Flags say how the answer keeps its form.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from .options import replaced, usage_error
from .output import read_text

FORM = "Form of the answer (one of)"
KEEPING = "How the answer keeps its form"
ADD_ONE = "add --json-schema, --grammar, --regex or --choices, or leave it out"
READ = ("json_schema", "json_schema_file", "grammar_file")   # options that may name a file


def _option(kind: Any, *names: str, metavar: str, words: str) -> Any:  # noqa: ANN401
    return Annotated[
        kind, typer.Option(*names, metavar=metavar, rich_help_panel=FORM, show_default=False, help=words)
    ]


def _flag(name: str, words: str) -> Any:  # noqa: ANN401
    return Annotated[bool, typer.Option(name, rich_help_panel=KEEPING, show_default=False, help=words)]


OPTIONS: dict[str, Any] = {
    "json_schema": _option(
        str | None, "--json-schema", "-j", metavar="JSON|FILE",
        words="The answer is JSON that is valid by this schema: JSON text, or a file; -: stdin.",
    ),
    "json_schema_file": _option(
        str | None, "--json-schema-file", "-jf", metavar="FILE", words="The same, from a file; -: stdin.",
    ),
    "grammar": _option(
        str | None, "--grammar", metavar="GBNF", words="The answer is what this grammar's rule root describes.",
    ),
    "grammar_file": _option(
        str | None, "--grammar-file", metavar="FILE", words="The same, from a file; -: stdin.",
    ),
    "regex": _option(str | None, "--regex", metavar="REGEX", words="The whole answer matches this regular expression."),
    "choices": _option(
        list[str] | None, "--choices", metavar="TEXT",
        words="The answer is one of these texts. Give the option once per text.",
    ),
}  # fmt: skip
FLAGS: dict[str, Any] = {
    "close_at_max_tokens": _flag(
        "--close-at-max-tokens", "End the answer whole within -n and the context, not in the middle of its form."
    ),
    "no_strict": _flag(
        "--no-strict",
        "Accept a JSON schema that can't be enforced as a whole: an answer that is not valid is an error at its end.",
    ),
    "no_fast_forward": _flag(
        "--no-fast-forward", "Give each token of forced text its own pass: the same answer, but later."
    ),
}


def with_form(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `form: dict[str, Any]`, keywords of generate(), by these options."""
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for group, default in ((OPTIONS, None), (FLAGS, False))
        for name, annotation in group.items()
    ]
    return replaced(command, "form", parameters, form_of, check_stdin)


def check_stdin(given: Mapping[str, Any]) -> None:
    """Raise a usage error if the form and the prompt, or the messages of a chat, are both to be read from stdin."""
    for name in READ:
        if given[name] != "-":
            continue
        if "prompt" not in given:
            raise usage_error(f"{_named(name)} -: stdin has the messages: give the name of a file")
        if given["prompt"] in (None, "-"):
            raise usage_error(f"{_named(name)} - and PROMPT both read stdin: give PROMPT as an argument")


def form_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords for the options that were given. A usage error names them."""
    named = [name for name in OPTIONS if given[name] is not None and given[name] != []]
    options = [_named(name) for name in named]
    if len(named) > 1:
        raise usage_error(f"{options[0]} and {options[1]} both say what the answer may be: give only one of them")
    flags = [name for name in FLAGS if given[name]]
    if not named:
        if flags:
            raise usage_error(f"{_named(flags[0])} has no effect without a form of the answer: {ADD_ONE}")
        return {}
    keyword, value = named[0].removesuffix("_file"), given[named[0]]
    if given["no_strict"] and keyword != "json_schema":
        raise usage_error(f"--no-strict has no effect with {options[0]}: it is for a JSON schema, leave it out")
    if named[0] != keyword or (keyword == "json_schema" and not _is_json(value)):
        value = read_text(value)
    return {keyword: value, **{name.removeprefix("no_"): not name.startswith("no_") for name in flags}}


def _named(name: str) -> str:
    return "--" + name.replace("_", "-")


def _is_json(text: str) -> bool:
    """Tell a schema from the name of a file.

    >>> _is_json(' {"type": "null"}'), _is_json("true"), _is_json("schema.json")
    (True, True, False)
    """
    return text.lstrip().startswith("{") or text.strip() in ("true", "false")
