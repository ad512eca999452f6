"""Options that several commands share. Sampling options are made from gemel.Sampling; its field docs are their help.

Values are checked before anything is loaded; errors name the option, the value and what is allowed.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import gemel
import typer
from gemel import KV_TYPES, KvType

MODEL_HELP = (
    "A GGUF file, a URL, hf:owner/repo:QUANT, hf:owner/repo/file.gguf, or a short name "
    "([bold]gemel pull --help[/bold] lists them)."
)
MACHINE = "Machine"
SAMPLING = "Sampling"

UsageError: Any = typer.BadParameter.__mro__[1]   # typer has its own click and does not export this


def usage_error(message: str) -> Exception:
    """Return the exception for an invalid command line: exit code 2."""
    error: Exception = UsageError(message)
    return error


def whole(least: int, most: int | None = None) -> Callable[[object], int]:
    """Return the parser of an integer option; its errors name the value and the range."""
    allowed = f"an integer, at least {least}" if most is None else f"an integer from {least} to {most}"

    def parse(given: object) -> int:
        text = str(given)
        value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None
        if value is None or value < least or (most is not None and value > most):
            raise typer.BadParameter(f"{text!r} is not {allowed}")
        return value

    return parse


def limit(given: object) -> int:
    """Parse a number of tokens: at least 1, or -1 for no limit; 0 is neither."""
    value = whole(-1)(given)
    if value == 0:
        raise typer.BadParameter("'0' is neither -1 (no limit) nor an integer of at least 1")
    return value


def draft_of(draft: str | None, no_draft: bool) -> str | bool:  # two options of a command
    """Return what gemel.open takes; a usage error for both options."""
    if draft is not None and no_draft:
        raise usage_error(f"--draft {draft} has no effect with --no-draft: leave one of them out")
    return not no_draft if draft is None else draft


def number(kind: type[int] | type[float]) -> Callable[[object], float]:
    """Return the parser of a number option whose range is checked elsewhere."""

    def parse(given: object) -> float:
        try:
            return kind(str(given))
        except ValueError:
            raise typer.BadParameter(f"{given!r} is not {'an integer' if kind is int else 'a number'}") from None

    return parse


def one_of(*names: str) -> Callable[[object], str]:
    """Return the parser of an option with one of these values."""

    def parse(given: object) -> str:
        if given not in names:
            raise typer.BadParameter(f"{given!r} is not {' or '.join(names)}")
        return str(given)

    return parse


ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", "-t", metavar="N", parser=whole(1, 256), rich_help_panel=MACHINE,
        show_default="GEMEL_THREADS, or physical cores", help="Number of threads. It does not change results.",
    ),
]
IsaOption = Annotated[
    str | None,
    typer.Option(
        "--isa", metavar="ISA", rich_help_panel=MACHINE, show_default="GEMEL_ISA, or the best of this CPU",
        help="Instruction set ([bold]gemel doctor[/bold] lists them). It does not change results.",
    ),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-tokens", "-n", "--predict", "--n-predict", metavar="N", parser=limit,
        show_default="until the context is full", help="Generate at most N tokens; -1: no limit.",
    ),
]
ReasoningOption = Annotated[
    int | None,
    typer.Option(
        "--reasoning-budget", metavar="N", min=0, show_default="no limit",
        help="Close the model's reasoning after N tokens; 0: none.",
    ),
]
StopOption = Annotated[
    list[str] | None,
    typer.Option("--stop", metavar="TEXT", show_default=False, help="Stop before this text. May be given repeatedly."),
]
SystemOption = Annotated[
    str | None,
    typer.Option(
        "--system", "-sys", "--system-prompt", metavar="TEXT", show_default=False,
        help="System message: how the model should answer.",
    ),
]
ContextOption = Annotated[
    int | None,
    typer.Option(
        "--ctx", "-c", "--ctx-size", metavar="N", parser=whole(1), show_default="the file's limit, at most 4096",
        help="Context size: tokens of prompt and answer together.",
    ),
]
KvTypeOption = Annotated[
    KvType | None,
    typer.Option(
        "--kv-type", metavar="TYPE", parser=one_of(*KV_TYPES), rich_help_panel=MACHINE,
        show_default="the model's",
        help="Format of the KV cache: q8_0 needs half of f16's memory and is faster for long texts; f32 is for "
        "comparison.",
    ),
]
DraftOption = Annotated[
    str | None,
    typer.Option(
        "--draft", metavar="MODEL", rich_help_panel=MACHINE, show_default="what the text repeats",
        help="Evaluate tokens ahead that a smaller model of the same vocabulary proposes, or a file of gemel "
        "draft-cache. It does not change results.",
    ),
]
NoDraftOption = Annotated[
    bool, typer.Option("--no-draft", rich_help_panel=MACHINE, help="Evaluate no drafts. It does not change results.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print only one JSON object on stdout.")]

# By type of a field: the option's type, its parser, its metavar in the help.
TYPES: dict[str, tuple[Any, Callable[[object], float] | None, str]] = {
    "float": (float, number(float), "NUMBER"),
    "int": (int, number(int), "N"),
    "int | None": (int | None, number(int), "N"),
    "tuple[str, ...]": (list[str] | None, None, "TEXT"),
    "Mapping[int, float]": (list[str] | None, None, "ID=BIAS"),
}
# What llama.cpp calls some of them.
OTHER_NAMES = {
    "temperature": ("--temp",), "typical_p": ("--typical",), "penalty_last_n": ("--repeat-last-n",),
    "dry_last_n": ("--dry-penalty-last-n",), "repeat_penalty": ("--repetition-penalty",), "seed": ("-s",),
    "dry_breakers": ("--dry-sequence-breaker",),
}   # fmt: skip
# Fields whose option is given once per item: option, what is added to the field's doc.
REPEATED = {
    "dry_breakers": ("--dry-breaker", "May be given repeatedly."),
    "logit_bias": ("--logit-bias", "Written as 42=-1.5 or 42=-inf. May be given repeatedly."),
}
DEFAULTS = {"seed": "random", "dry_breakers": r'\n : " *', "logit_bias": "none"}


def field_docs(kind: type) -> dict[str, str]:
    """Return what each field of a dataclass says of itself, on one line.

    >>> field_docs(gemel.Sampling)["mirostat_tau"]
    'Over 0. The target surprise, in bits.'
    """
    return {field.name: field.metadata["doc"] for field in dataclasses.fields(kind)}


def replaced(
    command: Callable[..., None],
    name: str,
    options: Sequence[inspect.Parameter],
    made_of: Callable[[dict[str, Any]], object],
    check: Callable[[Mapping[str, Any]], None] | None = None,
) -> Callable[..., None]:
    """Replace a command's parameter `name` by several options; `made_of` turns their values into its argument.

    check: called before with all that was given, the command's other parameters too.
    """

    @functools.wraps(command)
    def checked(**given: Any) -> None:  # noqa: ANN401
        if check is not None:
            check(given)
        values = {option.name: given.pop(option.name) for option in options}
        command(**given, **{name: made_of(values)})

    signature = inspect.signature(command, eval_str=True)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != name]
    parameters += options
    changed: Any = checked
    changed.__signature__ = signature.replace(parameters=parameters)
    changed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return checked


def with_sampling(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `sampling: gemel.Sampling` by one option per field."""
    return replaced(command, "sampling", _sampling_parameters(), sampling_of)


def sampling_of(fields: Mapping[str, Any]) -> gemel.Sampling:
    """Return the Sampling of the options that were given. A usage error names the option."""
    given = {name: value for name, value in fields.items() if value is not None and value != []}
    if "logit_bias" in given:
        given["logit_bias"] = dict(map(_bias_of, given["logit_bias"]))
    if "dry_breakers" in given:
        given["dry_breakers"] = tuple(given["dry_breakers"])
    try:
        return gemel.Sampling(**given)
    except gemel.ArgumentError as error:
        raise usage_error(_as_option(str(error))) from error


def numbers_of(text: str, option: str, *, least: int, most: int) -> list[int]:
    """Return the integers of "0,1024". A usage error names the option, the value and the range."""
    found = []
    for part in text.split(","):
        word = part.strip()
        if not (word.isascii() and word.isdigit() and len(word) < 10 and least <= int(word) <= most):
            raise usage_error(f"{option} {text!r}: {word!r} is not an integer from {least} to {most}; write 1 or 1,2,4")
        if int(word) in found:
            raise usage_error(f"{option} {text!r}: {word} appears twice")
        found.append(int(word))
    return found


def _sampling_parameters() -> list[inspect.Parameter]:
    docs = field_docs(gemel.Sampling)
    return [_parameter(field, docs[field.name]) for field in dataclasses.fields(gemel.Sampling)]


def _parameter(field: dataclasses.Field[Any], doc: str) -> inspect.Parameter:
    option, added = REPEATED.get(field.name, (_option_of(field.name), ""))
    kind, parser, metavar = TYPES[str(field.type)]
    unset = DEFAULTS.get(field.name)
    info = typer.Option(
        option, *OTHER_NAMES.get(field.name, ()), metavar=metavar, parser=parser, show_default=unset or True,
        rich_help_panel=SAMPLING, help=f"{doc} {added}".strip().replace("[", r"\["),
    )
    default = None if unset else field.default
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def _option_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def _as_option(message: str) -> str:
    """Name fields as the command line does: "top_p=2: must be ..." becomes "--top-p=2: must be ..."."""
    names = "|".join(field.name for field in dataclasses.fields(gemel.Sampling))
    options = {name: option for name, (option, _) in REPEATED.items()}
    return re.sub(rf"\b({names})\b", lambda match: options.get(match[0], _option_of(match[0])), message)


def _bias_of(text: str) -> tuple[int, float]:
    token, equals, bias = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return int(token), float(bias)
    except ValueError:
        raise usage_error(f"--logit-bias {text!r}: must be ID=BIAS, such as 42=-1.5 or 42=-inf") from None
