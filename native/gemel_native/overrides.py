"""Options that replace a model file's metadata: --override KEY=VALUE, and llama.cpp's options for RoPE.

They become the `overrides` of gemel.open, which checks them like the file's own values.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import gemel
import typer
from gemel import Override, check_overrides

from .options import one_of, replaced, usage_error, whole

METADATA = "The file's metadata"
OVERRIDE_HELP = (
    "Use this value for a key of the file's metadata. Also KEY=TYPE:VALUE, with TYPE int, float, bool or str. "
    "The architecture's name is added before a KEY that begins with a dot. May be given repeatedly."
)


def _number(given: object) -> float:
    try:
        value = float(str(given))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise typer.BadParameter(f"{given!r} is not a finite number")
    return value


def _over_zero(given: object) -> float:
    value = _number(given)
    if not (value > 0 and math.isfinite(1 / value)):
        raise typer.BadParameter(f"{given!r} is not a number over 0")
    return value


@dataclass(frozen=True)
class Rope:
    """An option that sets one key of the architecture."""

    option: str
    key: str
    kind: Any
    parser: Callable[[object], Any]
    metavar: str
    words: str


FACTOR = ".rope.scaling.factor"
ROPE = {
    "rope_scaling": Rope(
        "--rope-scaling", ".rope.scaling.type", str | None, one_of("none", "linear", "yarn"), "TYPE",
        "How to scale RoPE: none, linear or yarn.",
    ),
    "rope_scale": Rope(
        "--rope-scale", FACTOR, float | None, _over_zero, "N",
        "Divide RoPE's frequencies by N, for a context N times as long.",
    ),
    "rope_freq_base": Rope(
        "--rope-freq-base", ".rope.freq_base", float | None, _number, "N", "Base of RoPE's frequencies.",
    ),
    "rope_freq_scale": Rope(
        "--rope-freq-scale", FACTOR, float | None, _over_zero, "N",
        "Multiply RoPE's frequencies by N; the same as --rope-scale 1/N.",
    ),
    "yarn_orig_ctx": Rope(
        "--yarn-orig-ctx", ".rope.scaling.original_context_length", int | None, whole(1), "N",
        "Context size that the model was trained with, before YaRN extends it.",
    ),
    "yarn_attn_factor": Rope(
        "--yarn-attn-factor", ".rope.scaling.attn_factor", float | None, _number, "N",
        "Multiply rotated queries and keys by N.",
    ),
    "yarn_beta_slow": Rope(
        "--yarn-beta-slow", ".rope.scaling.yarn_beta_slow", float | None, _number, "N",
        "YaRN fully scales the frequencies that rotate at most N times in the original context.",
    ),
    "yarn_beta_fast": Rope(
        "--yarn-beta-fast", ".rope.scaling.yarn_beta_fast", float | None, _number, "N",
        "YaRN does not scale the frequencies that rotate at least N times in the original context.",
    ),
}  # fmt: skip
OverrideOption = Annotated[
    list[str] | None,
    typer.Option(
        "--override", "--override-kv", metavar="KEY=VALUE", rich_help_panel=METADATA, show_default=False,
        help=OVERRIDE_HELP,
    ),
]


def with_overrides(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `overrides: Overrides` by --override and the options for RoPE."""
    options = [_parameter("override", OverrideOption)]
    for name, one in ROPE.items():
        info = typer.Option(
            one.option, metavar=one.metavar, parser=one.parser, rich_help_panel=METADATA, show_default="the file's",
            help=one.words,
        )
        options.append(_parameter(name, Annotated[one.kind, info]))
    return replaced(command, "overrides", options, overrides_of)


def overrides_of(given: Mapping[str, Any]) -> dict[str, Override]:
    """Return the overrides of the options, which are given by parameter name. A usage error names the option."""
    found: dict[str, Override] = {}
    for text in given.get("override") or ():
        key, value = override_of(text)
        if key in found:
            raise usage_error(f"--override {key} is given twice")
        found[key] = value
    values = {name: given[name] for name in ROPE if given.get(name) is not None}
    if "rope_scale" in values and "rope_freq_scale" in values:
        raise usage_error("--rope-scale and --rope-freq-scale set the same factor: give only one of them")
    for name, value in values.items():
        key = ROPE[name].key
        if key in found:
            raise usage_error(f"{ROPE[name].option} and --override {key} set the same key: give only one of them")
        found[key] = 1 / value if name == "rope_freq_scale" else value
    return found


def override_of(text: str) -> tuple[str, Override]:
    """Return key and value of "KEY=VALUE" or "KEY=TYPE:VALUE".

    >>> override_of("llama.rope.freq_base=5e5"), override_of("tokenizer.ggml.add_bos_token=bool:false")
    (('llama.rope.freq_base', 500000.0), ('tokenizer.ggml.add_bos_token', False))
    """
    key, equals, written = text.partition("=")
    if not equals or not key:
        raise usage_error(
            f"--override {text!r}: must be KEY=VALUE, such as .rope.freq_base=500000, or KEY=TYPE:VALUE with a TYPE of "
            "int, float, bool or str"
        )
    kind, colon, rest = written.partition(":")
    try:
        value = KINDS[kind](rest) if colon and kind in KINDS else _guessed(written)
    except ValueError:
        raise usage_error(f"--override {text!r}: {rest!r} is not {NOUNS[kind]}") from None
    try:
        return key, check_overrides({key: value})[key]
    except gemel.ArgumentError as error:
        raise usage_error(f"--override {text!r}: {error}") from error


def _int(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,40}", text):
        raise ValueError
    return int(text)


def _float(text: str) -> float:
    if "_" in text:
        raise ValueError
    return float(text)


def _bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


KINDS: dict[str, Callable[[str], Override]] = {"int": _int, "float": _float, "bool": _bool, "str": str}
NOUNS = {"int": "an integer", "float": "a number", "bool": "true or false"}


def _guessed(text: str) -> Override:
    for kind in (_bool, _int, _float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _parameter(name: str, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
