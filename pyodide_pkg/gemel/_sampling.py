"""How the next id is drawn: one frozen dataclass whose field docs are the documentation, checked when it is made.

Becomes a gemel_sampler by a table of option numbers. Nothing is clamped; an option without an effect is an error.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from . import _abi
from ._errors import ArgumentError
from ._library import Handle, Library, check, open_handle

MAX_SEED = 2**64 - 1
MAX_BREAKER = 20   # ids of one of dry_breakers


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The steps from logits to an id, in the order in which they are taken; each is off at its neutral value.

    logit bias, penalties, DRY, top-k, typical, top-p, min-p, XTC, temperature, draw. Mirostat takes the place of
    top-k to XTC. Equal logits sort by id; the same seed gives the same ids on every machine.

    >>> Sampling(temperature=0).temperature
    0
    >>> Sampling(top_p=1.5)
    Traceback (most recent call last):
    ...
    gemel._errors.ArgumentError: top_p=1.5: must be over 0 and at most 1 (1 is off)
    """

    temperature: float = 0.8
    """>= 0. Logits are divided by it: below 1 sharper, above 1 flatter; 0 is greedy: always the likeliest id."""
    top_k: int = 40
    """>= 0. Only the k likeliest ids stay; 0 is off."""
    top_p: float = 0.95
    """Over 0, at most 1. Only the likeliest ids that reach this probability together stay; 1 is off."""
    min_p: float = 0.05
    """0 <= p < 1. Ids below p times the likeliest one's probability go; 0 is off."""
    typical_p: float = 1.0
    """Over 0, at most 1. Only the ids whose surprise is nearest to the expected one stay; 1 is off."""
    repeat_penalty: float = 1.0
    """Over 0. Logits of ids seen lately are divided (multiplied when negative) by it; 1 is off."""
    frequency_penalty: float = 0.0
    """-2..2. Taken off a logit once for each time its id was seen lately; 0 is off."""
    presence_penalty: float = 0.0
    """-2..2. Taken off the logit of each id seen lately; 0 is off."""
    penalty_last_n: int = 64
    """0..2**20. How many ids, the prompt's too, "lately" is."""
    dry_multiplier: float = 0.0
    """>= 0. Strength of DRY, which makes it dear to go on with a sequence that stood there before; 0 is off."""
    dry_base: float = 1.75
    """>= 1. DRY's penalty grows by this factor with each id by which the repeat is longer than allowed."""
    dry_allowed_length: int = 2
    """1..2**20. Repeats up to this many ids are free."""
    dry_last_n: int = 1024
    """0..2**20. How many ids back DRY looks."""
    dry_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    """Texts, of at most 20 tokens each, at which a repeat ends for DRY."""
    xtc_probability: float = 0.0
    """0..1. How often XTC acts: it removes all but the least likely of the ids over its threshold; 0 is off."""
    xtc_threshold: float = 0.1
    """0..0.5. The probability from which XTC counts an id among the top choices."""
    mirostat: int = 0
    """0 or 2. Mirostat 2 keeps the surprise of the text near a target instead of truncating; 0 is off."""
    mirostat_tau: float = 5.0
    """Over 0. The target surprise, in bits."""
    mirostat_eta: float = 0.1
    """Over 0. How quickly mirostat follows."""
    seed: int | None = None
    """0..2**64-1. Where the random numbers start; None draws one of 32 bits, which the generation reports."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """id -> what is added to its logit; float("-inf") forbids the id."""

    def __post_init__(self) -> None:
        for name, check_field in _FIELDS.items():
            value = getattr(self, name)
            if not check_field.accepts(value):
                raise ArgumentError(f"{name}={value!r}: must be {check_field.range}")
        if self.seed is not None and not (_is_int(self.seed) and 0 <= self.seed <= MAX_SEED):
            raise ArgumentError(f"seed={self.seed!r}: must be an integer from 0 to 2**64-1, or None")
        object.__setattr__(self, "logit_bias", _check_bias(self.logit_bias))
        object.__setattr__(self, "dry_breakers", _check_breakers(self.dry_breakers))
        self._check_effects()

    def _check_effects(self) -> None:
        """Raise ArgumentError for a field that was set and that nothing would read."""
        for why, silenced in _SILENT:
            if not why.applies(self):
                continue
            for name in silenced:
                value = getattr(self, name)
                if value != _DEFAULTS[name] and value != _NEUTRAL.get(name, _DEFAULTS[name]):
                    raise ArgumentError(f"{name}={value!r} has no effect {why.words}: leave it out")

    def with_fields(self, **changes: object) -> Sampling:
        """Return a copy with some fields changed; TypeError names the nearest field for an unknown one."""
        for name in changes:
            if name not in _DEFAULTS:
                import difflib  # here, as below: only errors need it, and a tab waits for every import

                close = difflib.get_close_matches(name, _DEFAULTS, n=1, cutoff=0.0)
                raise TypeError(f"there is no option {name!r}; did you mean {close[0]!r}?")
        return replace(self, **changes)   # type: ignore[arg-type]  # __post_init__ checks


def merged(sampling: Sampling | None, changes: Mapping[str, object]) -> Sampling:
    """Return the Sampling of a call: the given one or the default, with fields named in the call itself changed."""
    if sampling is not None and not isinstance(sampling, Sampling):
        raise TypeError(f"sampling is a gemel.Sampling, not {type(sampling).__name__}")
    return (sampling or Sampling()).with_fields(**changes)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class _Field:
    """One number: its option in the core, its range in code and in words."""

    option: int
    test: Callable[[float], bool]
    range: str
    whole: bool = False

    def accepts(self, value: object) -> bool:
        if not (_is_int(value) or (isinstance(value, float) and not self.whole)):
            return False
        assert isinstance(value, int | float)
        return math.isfinite(value) and self.test(value)


def _look_back(option: int, least: int) -> _Field:
    return _Field(option, lambda n: least <= n <= 2**20, f"an integer from {least} to 2**20", whole=True)


def _share(option: int) -> _Field:
    return _Field(option, lambda p: 0 < p <= 1, "over 0 and at most 1 (1 is off)")


def _signed(option: int) -> _Field:
    return _Field(option, lambda x: -2 <= x <= 2, "from -2 to 2 (0 is off)")


def _positive(option: int, words: str = "") -> _Field:
    return _Field(option, lambda x: x > 0, f"over 0{words}")


_FIELDS: dict[str, _Field] = {
    "temperature": _Field(_abi.SAMPLER_TEMPERATURE, lambda t: t >= 0, "a number, at least 0 (0 is greedy)"),
    "top_k": _Field(_abi.SAMPLER_TOP_K, lambda k: 0 <= k < 2**31, "an integer, at least 0 (0 is off)", whole=True),
    "top_p": _share(_abi.SAMPLER_TOP_P),
    "min_p": _Field(_abi.SAMPLER_MIN_P, lambda p: 0 <= p < 1, "at least 0 and under 1 (0 is off)"),
    "typical_p": _share(_abi.SAMPLER_TYPICAL_P),
    "repeat_penalty": _positive(_abi.SAMPLER_REPEAT_PENALTY, " (1 is off)"),
    "frequency_penalty": _signed(_abi.SAMPLER_FREQUENCY_PENALTY),
    "presence_penalty": _signed(_abi.SAMPLER_PRESENCE_PENALTY),
    "penalty_last_n": _look_back(_abi.SAMPLER_PENALTY_LAST_N, 0),
    "dry_multiplier": _Field(_abi.SAMPLER_DRY_MULTIPLIER, lambda x: x >= 0, "at least 0 (0 is off)"),
    "dry_base": _Field(_abi.SAMPLER_DRY_BASE, lambda x: x >= 1, "at least 1"),
    "dry_allowed_length": _look_back(_abi.SAMPLER_DRY_ALLOWED_LENGTH, 1),
    "dry_last_n": _look_back(_abi.SAMPLER_DRY_LAST_N, 0),
    "xtc_probability": _Field(_abi.SAMPLER_XTC_PROBABILITY, lambda p: 0 <= p <= 1, "from 0 to 1 (0 is off)"),
    "xtc_threshold": _Field(_abi.SAMPLER_XTC_THRESHOLD, lambda p: 0 <= p <= 0.5, "from 0 to 0.5"),
    "mirostat": _Field(_abi.SAMPLER_MIROSTAT, lambda n: n in (0, 2), "0 (off) or 2", whole=True),
    "mirostat_tau": _positive(_abi.SAMPLER_MIROSTAT_TAU),
    "mirostat_eta": _positive(_abi.SAMPLER_MIROSTAT_ETA),
}
_DEFAULTS: dict[str, Any] = {
    item.name: {} if item.name == "logit_bias" else item.default for item in fields(Sampling)
}
_NEUTRAL: dict[str, Any] = {
    "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0, "xtc_probability": 0.0, "mirostat": 0,
    "penalty_last_n": 0,
}
_TRUNCATION = ("top_k", "top_p", "min_p", "typical_p", "xtc_probability", "xtc_threshold")


@dataclass(frozen=True)
class _Why:
    """When some fields are read by nothing, and how to say it."""

    applies: Callable[[Sampling], bool]
    words: str


_SILENT: tuple[tuple[_Why, tuple[str, ...]], ...] = (
    (
        _Why(lambda s: s.temperature == 0, "at temperature=0 (greedy)"),
        (*_TRUNCATION, "mirostat", "mirostat_tau", "mirostat_eta"),
    ),
    (_Why(lambda s: s.mirostat == 2, "with mirostat=2, which takes its place"), _TRUNCATION),
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


def _check_bias(bias: object) -> dict[int, float]:
    if not isinstance(bias, Mapping):
        raise ArgumentError(f"logit_bias={bias!r}: must be a mapping from ids to numbers")
    for key, value in bias.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (_is_int(key) and number and not math.isnan(value) and value != math.inf):
            raise ArgumentError(f"logit_bias={{{key!r}: {value!r}}}: maps an id to a finite number or -inf")
    return dict(bias)


def _check_breakers(breakers: object) -> tuple[str, ...]:
    if isinstance(breakers, str) or not isinstance(breakers, Sequence):
        raise ArgumentError(f"dry_breakers={breakers!r}: must be a sequence of texts")
    if not all(isinstance(text, str) and text for text in breakers):
        raise ArgumentError(f"dry_breakers={breakers!r}: must be texts, none of them empty")
    return tuple(breakers)


def _half(number: int) -> int:
    """Return the lower 32 bits as the int that a call takes for a uint32_t."""
    low = number & (2**32 - 1)
    return low - 2**32 if low >= 2**31 else low


class Sampler:
    """A gemel_sampler set up as a Sampling says. `seed` is the one in use, drawn where the Sampling gives none."""

    def __init__(
        self, library: Library, model: Handle, sampling: Sampling, tokenize: Callable[[str], list[int]]
    ) -> None:
        self._library = library
        self.sampling = sampling
        # A drawn one stays below 2**53: JavaScript's numbers, which clients read JSON with, are exact up to there.
        self.seed = int.from_bytes(os.urandom(4), "little") if sampling.seed is None else sampling.seed
        self.handle = open_handle(library, "gemel_sampler_open", where="a sampler", parent=model)
        try:
            with self.handle as sampler:
                self._set_up(sampler, tokenize)
        except BaseException:
            self.handle.close()
            raise

    def _set_up(self, sampler: int, tokenize: Callable[[str], list[int]]) -> None:
        call = self._library.call
        for name, item in _FIELDS.items():
            value = float(getattr(self.sampling, name))
            check(self._library, call("gemel_sampler_set", sampler, item.option, value), f"{name}={value}")
        check(self._library, call("gemel_sampler_seed", sampler, _half(self.seed), _half(self.seed >> 32)), "seed")
        for token, bias in self.sampling.logit_bias.items():
            if not -(2**31) <= token < 2**31:
                raise ArgumentError(f"logit_bias: {token} is not an id of this model")
            check(self._library, call("gemel_sampler_bias", sampler, token, bias), f"logit_bias of id {token}")
        if self.sampling.dry_multiplier:
            for text in self.sampling.dry_breakers:
                ids = tokenize(text)
                if not 1 <= len(ids) <= MAX_BREAKER:
                    raise ArgumentError(
                        f"dry_breakers: {text!r} is {len(ids)} tokens long: 1 to {MAX_BREAKER} are allowed"
                    )
                lent = self._library.lend(array("i", ids))
                code = call("gemel_sampler_dry_breaker", sampler, lent, len(ids))
                check(self._library, code, f"dry_breakers: {text!r}")

    def accept(self, ids: Sequence[int]) -> None:
        """Show the sampler what stood before, as far back as anything looks."""
        look_back = max(self.sampling.penalty_last_n, self.sampling.dry_last_n if self.sampling.dry_multiplier else 0)
        with self.handle as sampler:
            for token in ids[max(0, len(ids) - look_back) :]:
                check(self._library, self._library.call("gemel_sampler_accept", sampler, token), f"id {token}")

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Free it."""
        self.handle.close()
