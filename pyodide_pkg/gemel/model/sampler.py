"""A Sampling becomes a gemel_sampler, which draws the ids of one sequence."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Callable

from ..core import abi
from ..core.checks import flag
from ..core.closing import Closing
from ..core.errors import ArgumentError, counted
from ..core.library import Handle, Library, check, open_handle
from ..core.public import public
from ..text.ids import Ids, id_list
from .call_options import CallOptions
from .core_model import CoreModel
from .grammar import Rules
from .sampling import FIELDS, Sampling

LEAST_P = sys.float_info.min   # the core's top_p is over 0; this one also keeps a single id
WHOLE = 2          # what gemel_sampler_ends says of a whole answer
MAX_BREAKER = 20   # ids of one of dry_breakers


def _half(number: int) -> int:
    """Return the lower 32 bits as the int that a call takes for a uint32_t."""
    low = number & (2**32 - 1)
    return low - 2**32 if low >= 2**31 else low


@public
class Sampler(Closing):
    """A gemel_sampler with the options of a Sampling. `seed` is the one in use: random where the Sampling has none.

    Attributes:
        sampling: the Sampling in use
        seed: where its random numbers started
        rules: what the answer may be from here on, compiled; None: anything
        handle: the core's object
    """

    copy_hint = "make another one with the same Sampling"

    def __init__(
        self, library: Library, model: Handle, sampling: Sampling, tokenize: Callable[[str], list[int]],
        rules: Rules | None = None, *, fast_forward: bool = True, close_within: int | None = None,
    ) -> None:  # fmt: skip
        self._library = library
        self._is_message: bool | None = None   # None: begin() was not called
        self._flags = 0 if fast_forward else abi.USE_MASK_ONLY
        self._limit = close_within             # ids within which the grammar closes an answer
        self.sampling = sampling
        self.rules = rules
        # A random one is below 2**53, up to where JavaScript's numbers are exact: clients read it as JSON.
        self.seed = int.from_bytes(os.urandom(4), "little") if sampling.seed is None else sampling.seed
        self.handle = open_handle(library, "gemel_sampler_open", where="a sampler", parent=model)
        try:
            with self.handle as sampler:
                self._set_up(sampler, tokenize)
            if rules is not None:
                self.handle.keep(rules.handle)
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
        """Show the sampler the ids before the answer, as far back as its options look. They are not the grammar's."""
        look_back = max(self.sampling.penalty_last_n, self.sampling.dry_last_n if self.sampling.dry_multiplier else 0)
        if self._is_message is not None:
            self._use(None)   # these ids do not continue its answer
        try:
            with self.handle as sampler:
                given = id_list(ids, "ids")
                for token in given[max(0, len(given) - look_back) :]:
                    check(self._library, self._library.call("gemel_sampler_accept", sampler, token), f"id {token}")
        finally:
            if self._is_message is not None:
                self.begin(is_message=self._is_message)

    def begin(self, *, is_message: bool = False) -> None:
        """Begin the answer that the grammar describes with the next id drawn. Without a grammar, do nothing.

        is_message: the answer lacks the space that some tokenizers put before a text.
        """
        flag("is_message", is_message)
        if self.rules is not None:
            self._use(self.rules.handle, self._flags | (abi.USE_MESSAGE if is_message else 0))
            self._is_message = is_message
            if self._limit is not None:
                self._close_within(self._limit)

    def _follow(self, rules: Rules | None) -> None:
        """Follow other rules from the next id on: their answer begins there. The caller keeps their handle."""
        self._use(None if rules is None else rules.handle, 0 if rules is None else self._flags)
        self.rules = rules

    def _close_within(self, limit: int) -> None:
        with self.handle as sampler:
            needs = self._library.call("gemel_sampler_close_within", sampler, limit)
        if needs == abi.E_UNSUPPORTED:
            raise ArgumentError(
                "close_at_max_tokens: no short answer was found whose lists have each item once (uniqueItems): ask for "
                "fewer items (minItems), allow more different ones, or leave it out"
            )
        check(self._library, needs, "close_at_max_tokens")
        if needs > limit:
            raise ArgumentError(
                f"close_at_max_tokens: the shortest answer takes {counted(needs, 'token')}, but max_tokens and the "
                f"context leave {limit}: allow more, or leave it out"
            )

    def _use(self, grammar: Handle | None, flags: int = 0) -> None:
        with self.handle as sampler:   # while it is used, the grammar stays
            address = 0 if grammar is None else grammar.address
            code = self._library.call("gemel_sampler_use", sampler, address, flags)
            check(self._library, code, "a sampler's grammar")

    @property
    def is_whole(self) -> bool:
        """Whether the answer is whole by its grammar: nothing can follow."""
        if self.rules is None:
            return False
        with self.handle as sampler:
            return bool(self._library.call("gemel_sampler_ends", sampler) == WHOLE)

    def close(self) -> None:
        """Free it. Its grammar is released when no call uses the sampler."""
        self.handle.close()


def sampler_of(
    model: CoreModel, options: CallOptions, rules: Rules | None, limit: int, prompt_ids: Ids, *, is_message: bool
) -> Sampler:
    """Return the sampler of one answer of up to `limit` ids, which is about to begin."""
    sampler = Sampler(
        model._library, model._handle, options.sampling, model.tokenize, rules,
        fast_forward=options.fast_forward, close_within=limit if options.closes else None,
    )  # fmt: skip
    try:
        sampler.accept(prompt_ids)
        sampler.begin(is_message=is_message)
    except BaseException:
        sampler.close()
        raise
    return sampler
