"""How the next id is drawn: a frozen dataclass, checked when it is made. Its fields' docs are the documentation.

sampler.py turns it into a gemel_sampler. No value is clamped; an option without effect is an error.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Unpack

from ..core import abi
from ..core.checks import not_number, not_whole, wrong_type
from ..core.errors import ArgumentError
from ..core.hints import did_you_mean
from ..core.public import public
from ..core.scalars import number, whole
from .call_types import SamplingFields

MAX_SEED = 2**64 - 1
ALIASES = {"repetition_penalty": "repeat_penalty"}   # what others call a field


def _doc(text: str) -> dict[str, str]:
    """Return a field's metadata: its range and what it does, for help() and for `gemel run --help`."""
    return {"doc": text}


@public
@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The steps from logits to an id; each is off at its neutral value.

    Their order: logit bias, penalties, DRY, top-k, typical, top-p, min-p, XTC, temperature, draw. Mirostat replaces
    top-k to XTC. Equal logits sort by id; the same seed gives the same ids on every machine.

    >>> Sampling(temperature=0).temperature
    0
    >>> Sampling(top_p=1.5)
    Traceback (most recent call last):
    ...
    gemel.ArgumentError: top_p=1.5: must be from 0 to 1 (1 is off)
    """

    temperature: float = field(default=0.8, metadata=_doc(
        ">= 0. Logits are divided by it: below 1 sharper, above 1 flatter; 0 is greedy: always the most likely id."
    ))
    top_k: int = field(default=40, metadata=_doc("Keep only the k most likely ids; 0 or less is off."))
    top_p: float = field(default=0.95, metadata=_doc(
        "0..1. Keep the smallest set of most likely ids whose probabilities sum to p: at 0 one id; 1 is off."
    ))
    min_p: float = field(default=0.05, metadata=_doc(
        "0 <= p < 1. Drop ids less likely than p times the most likely one; 0 is off."
    ))
    typical_p: float = field(default=1.0, metadata=_doc(
        "Over 0, at most 1. Keep the ids whose surprise is closest to the expected one; 1 is off."
    ))
    repeat_penalty: float = field(default=1.0, metadata=_doc(
        "Over 0. Logits of recent ids are divided (multiplied when negative) by it; 1 is off."
    ))
    frequency_penalty: float = field(default=0.0, metadata=_doc(
        "-2..2. Subtracted from an id's logit once per recent occurrence; 0 is off."
    ))
    presence_penalty: float = field(default=0.0, metadata=_doc(
        "-2..2. Subtracted from the logit of each recent id; 0 is off."
    ))
    penalty_last_n: int = field(default=64, metadata=_doc(
        "0..2**20. How many ids count as recent, the prompt's included."
    ))
    dry_multiplier: float = field(default=0.0, metadata=_doc(
        ">= 0. Strength of DRY, which penalises continuing a sequence that has already occurred; 0 is off."
    ))
    dry_base: float = field(default=1.75, metadata=_doc(
        ">= 1. DRY's penalty grows by this factor with each id that a repeat is longer than allowed."
    ))
    dry_allowed_length: int = field(default=2, metadata=_doc(
        "1..2**20. Repeats of up to this many ids are not penalised."
    ))
    dry_last_n: int = field(default=1024, metadata=_doc("0..2**20. How many recent ids DRY searches for repeats."))
    dry_breakers: tuple[str, ...] = field(default=("\n", ":", '"', "*"), metadata=_doc(
        "Strings of at most 20 tokens each. For DRY, a repeat ends at them."
    ))
    xtc_probability: float = field(default=0.0, metadata=_doc(
        "0..1. How often XTC acts: it removes the ids over its threshold except the least likely one; 0 is off."
    ))
    xtc_threshold: float = field(default=0.1, metadata=_doc(
        "0..0.5. The probability from which XTC counts an id as a top choice."
    ))
    mirostat: int = field(default=0, metadata=_doc(
        "0 or 2. Mirostat 2 keeps the surprise of the text near a target, instead of truncating; 0 is off."
    ))
    mirostat_tau: float = field(default=5.0, metadata=_doc("Over 0. The target surprise, in bits."))
    mirostat_eta: float = field(default=0.1, metadata=_doc("Over 0. How quickly mirostat adapts."))
    seed: int | None = field(default=None, metadata=_doc(
        "-2**63..2**64-1. The seed of the random numbers. None or -1: a random 32-bit seed, which the generation "
        "reports. Any other negative seed n is the seed 2**64 + n."
    ))
    logit_bias: Mapping[int, float] = field(default_factory=dict, metadata=_doc(
        'A map from ids to what is added to their logits; float("-inf") forbids an id.'
    ))

    def __post_init__(self) -> None:
        for name, check_field in FIELDS.items():
            object.__setattr__(self, name, check_field.checked(name, getattr(self, name)))
        object.__setattr__(self, "top_k", max(self.top_k, 0))
        object.__setattr__(self, "seed", _check_seed(self.seed))
        object.__setattr__(self, "logit_bias", _check_bias(self.logit_bias))
        object.__setattr__(self, "dry_breakers", _check_breakers(self.dry_breakers))
        self._check_effects()

    def _check_effects(self) -> None:
        """Raise ArgumentError for a field that was set and has no effect."""
        for why, silenced in _SILENT:
            if not why.applies(self):
                continue
            for name in silenced:
                value = getattr(self, name)
                if value != _DEFAULTS[name] and value != _NEUTRAL.get(name, _DEFAULTS[name]):
                    raise ArgumentError(f"{name}={value!r} has no effect {why.words}: leave it out")

    def with_fields(self, **fields: Unpack[SamplingFields]) -> Sampling:
        """Return a copy with some fields changed; TypeError names the nearest field for an unknown one."""
        return replace(self, **_known(fields))   # __post_init__ checks

    def greedy(self) -> Sampling:
        """Return a copy at temperature 0, with the fields that have no effect there at their defaults.

        >>> Sampling(top_k=5, repeat_penalty=1.1).greedy() == Sampling(temperature=0, repeat_penalty=1.1)
        True
        """
        return replace(self, temperature=0.0, **{name: _DEFAULTS[name] for name in _GREEDY_IGNORES})


@dataclass(frozen=True)
class Field:
    """One number: its option in the core, its range in code and in words."""

    option: int
    test: Callable[[float], bool]
    range: str
    whole: bool = False

    def checked(self, name: str, value: object) -> float:
        """Return the number; ArgumentError when it is not a number, or out of range."""
        found = whole(value) if self.whole else number(value)
        if found is None or not (math.isfinite(found) and self.test(found)):
            raise (not_whole if self.whole else not_number)(name, value, self.range)
        return found


def _look_back(option: int, least: int) -> Field:
    return Field(option, lambda n: least <= n <= 2**20, f"an integer from {least} to 2**20", whole=True)


def _share(option: int) -> Field:
    return Field(option, lambda p: 0 < p <= 1, "over 0 and at most 1 (1 is off)")


def _signed(option: int) -> Field:
    return Field(option, lambda x: -2 <= x <= 2, "from -2 to 2 (0 is off)")


def _positive(option: int, words: str = "") -> Field:
    return Field(option, lambda x: x > 0, f"over 0{words}")


FIELDS: dict[str, Field] = {
    "temperature": Field(abi.SAMPLER_TEMPERATURE, lambda t: t >= 0, "a number, at least 0 (0 is greedy)"),
    "top_k": Field(
        abi.SAMPLER_TOP_K, lambda k: -(2**31) <= k < 2**31, "an integer under 2**31 (0 or less is off)", whole=True
    ),
    "top_p": Field(abi.SAMPLER_TOP_P, lambda p: 0 <= p <= 1, "from 0 to 1 (1 is off)"),
    "min_p": Field(abi.SAMPLER_MIN_P, lambda p: 0 <= p < 1, "at least 0 and under 1 (0 is off)"),
    "typical_p": _share(abi.SAMPLER_TYPICAL_P),
    "repeat_penalty": _positive(abi.SAMPLER_REPEAT_PENALTY, " (1 is off)"),
    "frequency_penalty": _signed(abi.SAMPLER_FREQUENCY_PENALTY),
    "presence_penalty": _signed(abi.SAMPLER_PRESENCE_PENALTY),
    "penalty_last_n": _look_back(abi.SAMPLER_PENALTY_LAST_N, 0),
    "dry_multiplier": Field(abi.SAMPLER_DRY_MULTIPLIER, lambda x: x >= 0, "at least 0 (0 is off)"),
    "dry_base": Field(abi.SAMPLER_DRY_BASE, lambda x: x >= 1, "at least 1"),
    "dry_allowed_length": _look_back(abi.SAMPLER_DRY_ALLOWED_LENGTH, 1),
    "dry_last_n": _look_back(abi.SAMPLER_DRY_LAST_N, 0),
    "xtc_probability": Field(abi.SAMPLER_XTC_PROBABILITY, lambda p: 0 <= p <= 1, "from 0 to 1 (0 is off)"),
    "xtc_threshold": Field(abi.SAMPLER_XTC_THRESHOLD, lambda p: 0 <= p <= 0.5, "from 0 to 0.5"),
    "mirostat": Field(abi.SAMPLER_MIROSTAT, lambda n: n in (0, 2), "0 (off) or 2", whole=True),
    "mirostat_tau": _positive(abi.SAMPLER_MIROSTAT_TAU),
    "mirostat_eta": _positive(abi.SAMPLER_MIROSTAT_ETA),
}


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields by their usual names; TypeError names the nearest field for an unknown one."""
    known = dict(fields)
    for alias, name in ALIASES.items():
        if alias in known:
            if name in known:
                raise TypeError(f"{alias} is another name of {name}: pass only one of them")
            known[name] = FIELDS[name].checked(alias, known.pop(alias))   # errors have the name passed
    for name in known:
        if name not in _DEFAULTS:
            raise TypeError(f"there is no option {name!r}{did_you_mean(name, _DEFAULTS)}")
    return known


def _with_known(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def checked(self: Sampling, **fields: object) -> None:
        init(self, **_known(fields))

    return checked


Sampling.__init__ = _with_known(Sampling.__init__)   # type: ignore[method-assign]  # the same, with a hint
_LINES = "".join(f"        {item.name}: {item.metadata['doc']}\n" for item in fields(Sampling))
Sampling.__doc__ = f"{Sampling.__doc__ or ''}\n    Fields:\n{_LINES}    "   # help() shows them, too
_DEFAULTS: dict[str, Any] = {
    item.name: {} if item.name == "logit_bias" else item.default for item in fields(Sampling)
}
NAMES = tuple(_DEFAULTS)
_NEUTRAL: dict[str, Any] = {
    "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0, "xtc_probability": 0.0, "mirostat": 0,
    "penalty_last_n": 0,
}
_TRUNCATION = ("top_k", "top_p", "min_p", "typical_p", "xtc_probability", "xtc_threshold")
_GREEDY_IGNORES = (*_TRUNCATION, "mirostat", "mirostat_tau", "mirostat_eta")


@dataclass(frozen=True)
class _Why:
    """When some fields have no effect, and how an error says it."""

    applies: Callable[[Sampling], bool]
    words: str


_SILENT: tuple[tuple[_Why, tuple[str, ...]], ...] = (
    (_Why(lambda s: s.temperature == 0, "at temperature=0 (greedy)"), _GREEDY_IGNORES),
    (_Why(lambda s: s.mirostat == 2, "with mirostat=2, which replaces it"), _TRUNCATION),
    (_Why(lambda s: s.mirostat == 0, "without mirostat=2"), ("mirostat_tau", "mirostat_eta")),
    (_Why(lambda s: s.xtc_probability == 0, "without xtc_probability"), ("xtc_threshold",)),
    (
        _Why(lambda s: s.dry_multiplier == 0, "without dry_multiplier"),
        ("dry_base", "dry_allowed_length", "dry_last_n", "dry_breakers"),
    ),
    (
        _Why(
            lambda s: s.repeat_penalty == 1 and s.frequency_penalty == 0 and s.presence_penalty == 0,
            "without repeat_penalty, frequency_penalty or presence_penalty",
        ),
        ("penalty_last_n",),
    ),
)


def _check_seed(seed: object) -> int | None:
    found = whole(seed)
    if seed is None or found == -1:
        return None
    if found is None or not -(2**63) <= found <= MAX_SEED:
        raise not_whole("seed", seed, "an integer from -2**63 to 2**64-1, or None; -1 is as None")
    return found % 2**64


def _check_bias(bias: object) -> dict[int, float]:
    if not isinstance(bias, Mapping):
        raise wrong_type("logit_bias", bias, "a mapping from ids to numbers")
    checked = {}
    for key, value in bias.items():
        id, added = whole(key), number(value)
        if id is None or added is None:
            raise wrong_type("logit_bias", {key: value}, "from ids to finite numbers or -inf")
        if math.isnan(added) or added == math.inf:
            raise ArgumentError(f"logit_bias={{{key!r}: {value!r}}}: must map an id to a finite number or -inf")
        checked[id] = added
    return checked


def _check_breakers(breakers: object) -> tuple[str, ...]:
    if isinstance(breakers, str) or not isinstance(breakers, Sequence):
        raise wrong_type("dry_breakers", breakers, "a sequence of strings")
    if not all(isinstance(text, str) for text in breakers):
        raise wrong_type("dry_breakers", breakers, "a sequence of strings")
    if not all(breakers):
        raise ArgumentError(f"dry_breakers={breakers!r}: must be strings, none of them empty")
    return tuple(breakers)
