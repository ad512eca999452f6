"""Texts that a batch reads beside its answers: to embed them, to rank them for a query, or to score their ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...core.checks import flag, not_whole, text
from ...core.closing import Closing
from ...core.errors import ArgumentError
from ...core.floats import FloatArray
from ...core.scalars import whole
from ...text.ids import Ids, id_bytes
from ..core_model import CoreModel
from ..core_session import check_room
from ..embed import Pooling, recipe_of, text_ids
from ..rank import pair_of
from .future import BatchFuture, EmbeddingReader, RankReader, Reader, ReadRequest, ScoreReader
from .request import Drives, Request

T = TypeVar("T")


class Reading(Closing, Drives):
    """The part of a batch that makes requests of texts."""

    model: CoreModel

    def _add(self, request: Request) -> None:
        raise NotImplementedError

    def _check_open(self) -> None:
        raise NotImplementedError

    def embed(
        self, prompt: str | Ids, pooling: Pooling | None = None, *, normalize: bool = True,
        truncate_dim: int | None = None, key: str = "", priority: int = 0,
    ) -> BatchFuture[FloatArray]:   # fmt: skip
        """Evaluate a text beside the answers; the future's result is its embedding, with the bits of Model.embed.

        prompt: a text, or its ids, BOS and EOS included. Short texts go through a pass together.
        """
        recipe = recipe_of(self.model, pooling, normalize, truncate_dim)
        ids = text_ids(self.model, prompt) if isinstance(prompt, str) else self._ids(prompt)
        n_embd = self.model.n_embd
        return self._read(lambda: EmbeddingReader(n_embd, recipe), ids, key, priority)

    def rank(
        self, query: str, document: str, *, normalize: bool = True, key: str = "", priority: int = 0
    ) -> BatchFuture[float]:
        """Evaluate a document beside the answers; the future's result is its score, with the bits of Model.rerank."""
        model, as_chance = self.model, flag("normalize", normalize)
        pair = pair_of(model, query, document)
        return self._read(lambda: RankReader(model, pair.types, as_chance), pair.ids, key, priority)

    def score(self, prompt: str | Ids, *, key: str = "", priority: int = 0) -> BatchFuture[list[float]]:
        """Evaluate a text beside the answers; the future's result is that of Model.score."""
        self.model._check_decodes()
        return self._read(ScoreReader, self._ids(prompt), key, priority)

    def _ids(self, prompt: str | Ids) -> list[int]:
        """Return the ids of a text that is read whole."""
        ids = self.model._prompt_ids(prompt, special=False)
        if not ids:
            raise ArgumentError("the prompt is empty: pass at least one token")
        check_room(self.model, self.model.n_ctx, len(ids), 0)
        return ids

    def _read(self, reader: Callable[[], Reader[T]], ids: list[int], key: str, priority: int) -> BatchFuture[T]:
        id_bytes(ids, self.model.n_vocab)
        if whole(priority) is None:
            raise not_whole("priority", priority, "an integer")
        self._check_open()
        request = ReadRequest(reader, ids, key=text("key", key), priority=priority, batch=self)
        self._add(request)
        return BatchFuture(request, self.model)
