"""A Sampling becomes a gemel_sampler, which draws the ids of one sequence."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Callable

from ..core.closing import Closing
from ..core.errors import ArgumentError
from ..core.library import Handle, Library, check, open_handle
from ..text.ids import Ids, id_list
from .sampling import FIELDS, Sampling

LEAST_P = sys.float_info.min   # the core's top_p is over 0; this one also keeps a single id
MAX_BREAKER = 20   # ids of one of dry_breakers


def _half(number: int) -> int:
    """Return the lower 32 bits as the int that a call takes for a uint32_t."""
    low = number & (2**32 - 1)
    return low - 2**32 if low >= 2**31 else low


class Sampler(Closing):
    """A gemel_sampler with the options of a Sampling. `seed` is the one in use: random where the Sampling has none.

    Attributes:
        sampling: the Sampling in use
        seed: where its random numbers started
        handle: the core's object
    """

    copy_hint = "make another one with the same Sampling"

    def __init__(
        self, library: Library, model: Handle, sampling: Sampling, tokenize: Callable[[str], list[int]]
    ) -> None:
        self._library = library
        self.sampling = sampling
        # A random one is below 2**53, up to where JavaScript's numbers are exact: clients read it as JSON.
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
        for name, item in FIELDS.items():
            value = float(getattr(self.sampling, name))
            if name == "top_p":
                value = max(value, LEAST_P)
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
                        f"dry_breakers: {text!r} has {len(ids)} tokens: 1 to {MAX_BREAKER} are allowed"
                    )
                lent = self._library.lend(array("i", ids))
                code = call("gemel_sampler_dry_breaker", sampler, lent, len(ids))
                check(self._library, code, f"dry_breakers: {text!r}")

    def accept(self, ids: Ids) -> None:
        """Show the sampler the ids before, as far back as its options look."""
        look_back = max(self.sampling.penalty_last_n, self.sampling.dry_last_n if self.sampling.dry_multiplier else 0)
        with self.handle as sampler:
            given = id_list(ids, "ids")
            for token in given[max(0, len(given) - look_back) :]:
                check(self._library, self._library.call("gemel_sampler_accept", sampler, token), f"id {token}")

    def close(self) -> None:
        """Free it."""
        self.handle.close()
