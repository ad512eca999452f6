"""The ids of a vocabulary, and a sampler that follows a grammar id by id."""

from __future__ import annotations

import gemel
from gemel.core.library import check
from grammars import Place

CONTROL, UNKNOWN = 3, 2


class Words:
    """What the reference needs of a vocabulary."""

    def __init__(self, model: gemel.Model) -> None:
        self.model, self.library = model, model._library
        self.ids = range(model.n_vocab)
        self.pieces = [model.piece(id) for id in self.ids]
        with model._handle as address:
            self.is_end = [bool(self.library.call("gemel_token_is_eog", address, id)) for id in self.ids]
            kinds = [self.library.call("gemel_token_kind_of", address, id) for id in self.ids]
        self.has_text = [
            bool(piece) and kind not in (CONTROL, UNKNOWN) and not is_end
            for piece, kind, is_end in zip(self.pieces, kinds, self.is_end, strict=True)
        ]

    def after(self, place: Place, id: int) -> list[Place]:
        """Return the places after an id: as a text, and as such."""
        as_text = place.after(self.pieces[id]) if self.has_text[id] else None
        as_id = place.after_id(id, is_end=self.is_end[id])
        return [one for one in (as_text, as_id) if one is not None]

    def allowed(self, place: Place) -> list[bool]:
        return [bool(self.after(place, id)) or (self.is_end[id] and place.may_end) for id in self.ids]


class Walker:
    """A sampler with a grammar."""

    def __init__(self, model: gemel.Model, grammar: gemel.Grammar) -> None:
        self.model, self.library = model, model._library
        self.sampler = model.sampler(temperature=0, grammar=grammar)

    def allowed(self) -> list[bool]:
        """Return which ids are allowed; none of them: none is."""
        out = self.library.alloc(self.model.n_vocab)
        with self.sampler.handle as address:
            code = self.library.call("gemel_sampler_allowed", address, out)
        assert code in (-10, sum(self.library.read(out.address, out.size)))
        return [bool(one) and code > 0 for one in self.library.read(out.address, out.size)]

    def accept(self, id: int) -> None:
        with self.sampler.handle as address:
            check(self.library, self.library.call("gemel_sampler_accept", address, id), f"id {id}")

    def ends(self) -> int:
        with self.sampler.handle as address:
            return int(self.library.call("gemel_sampler_ends", address))
