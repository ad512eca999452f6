"""What a batch reads off a text beside its answers: an embedding, a score, or the log-probabilities of its ids."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Sequence
from typing import Generic, Protocol, TypeVar

from ...core import abi
from ...core.closing import Closing
from ...core.errors import CancelledError
from ...core.floats import FloatArray, floats
from ...core.public import public
from ..answer import StopReason
from ..core_model import CoreModel
from ..embed import POOLINGS, Pool, Pooling, Recipe
from ..pace import Pace
from ..rank import rank_pooling, score_of
from ..session import Session
from ..step import Drawn
from .request import Drives, Request

T = TypeVar("T")


Made = TypeVar("Made", covariant=True)


class Reader(Protocol[Made]):
    """Takes what the ids of a text give, part after part."""

    wants: int

    def take(self, made: bytes) -> None:
        """Take the next part."""

    def value(self) -> Made:
        """Return the value, once all parts were taken."""


class PooledReader:
    """Hidden states become one row."""

    wants = abi.WANT_HIDDEN

    def __init__(self, n_embd: int, pooling: Pooling, types: Sequence[int] = ()) -> None:
        self._n_embd = n_embd
        self.pooling = POOLINGS[pooling]
        self.types = types   # of an encoder's ids: which text of a pair each belongs to; none: all are of the first
        self._pool = Pool(pooling)
        self._row: Sequence[float] = ()

    def take(self, made: bytes) -> None:
        """Take the hidden states of the next ids."""
        self._pool.add(floats(made, (len(made) // (4 * self._n_embd), self._n_embd)))

    def take_row(self, row: Sequence[float]) -> None:
        """Take the pooled row, which the core made."""
        self._row = row

    def row(self) -> Sequence[float]:
        """Return the pooled row, in doubles."""
        return self._row or self._pool.row()


class EmbeddingReader(PooledReader):
    """Hidden states become an embedding."""

    def __init__(self, n_embd: int, recipe: Recipe) -> None:
        super().__init__(n_embd, recipe.pooling)
        self._recipe = recipe

    def value(self) -> FloatArray:
        """Return the embedding, float32 [n_embd] or as many as the recipe keeps."""
        return self._recipe.made(self.row())


class RankReader(PooledReader):
    """Hidden states become the score of a document."""

    def __init__(self, model: CoreModel, types: Sequence[int], as_chance: bool) -> None:
        super().__init__(model.n_embd, rank_pooling(model), types)
        self._model, self._as_chance = model, as_chance

    def value(self) -> float:
        """Return the score."""
        return score_of(self._model, self.row(), self._as_chance)


class ScoreReader:
    """The log-probability of each id after the first."""

    wants = abi.WANT_SCORES

    def __init__(self) -> None:
        self._log_probs = array("d")

    def take(self, made: bytes) -> None:
        """Take those of the next ids."""
        self._log_probs.frombytes(made)

    def value(self) -> list[float]:
        """Return n - 1 numbers for n ids."""
        return self._log_probs.tolist()[1:]


class ReadRequest(Request, Generic[T]):
    """A text whose ids are all evaluated here: what was evaluated before gives no hidden states."""

    def __init__(
        self, reader: Callable[[], Reader[T]], prompt_ids: Sequence[int], *, key: str, priority: int, batch: Drives
    ) -> None:
        super().__init__(
            prompt_ids, n_ctx=len(prompt_ids), work=float(len(prompt_ids)), key=key, priority=priority,
            kind=object(), batch=batch,
        )  # fmt: skip
        self._new_reader = reader
        self.reader = reader()
        self.wants = self.reader.wants

    def begin(self, session: Session, n_held: int) -> None:
        """Take a session, which is empty."""
        self.session = session

    def put_back(self) -> None:
        """Give up the session, and what was read."""
        if self.session is not None:
            self.session.close()
        self.session = None
        self.reader = self._new_reader()
        self.todo = array("i", self.prompt_ids)

    def take(self, made: bytes) -> None:
        """Take what the ids gave."""
        self.reader.take(made)

    def evaluated(self, n: int, drawn: Drawn, seconds: float) -> StopReason | None:
        """Note that n ids were evaluated; it ends with the last of them."""
        self.todo = self.todo[n:]
        self.n_evaluated += n
        return None if self.todo else "length"


@public
class BatchFuture(Closing, Generic[T]):
    """Made by Batch.embed, Batch.rank and Batch.score: a value that a batch evaluates beside its answers.

    `result()` takes steps for all requests of the batch until the value is there, and so does `await`. A context
    manager; closing it, or deleting the last reference, stops it.
    """

    copy_hint = "keep its result()"

    def __init__(self, request: ReadRequest[T], model: CoreModel) -> None:
        self._request = request
        self._model = model

    @property
    def n_ids(self) -> int:
        """The number of ids of its text."""
        return len(self._request.prompt_ids)

    def done(self) -> bool:
        """Whether it ended: with its value, an error or close()."""
        return self._request.stop_reason is not None

    def result(self) -> T:
        """Return the value, after as many steps as it needs. Raises its error; CancelledError after close()."""
        while not self.done():
            self._request.batch.step()
        return self._value()

    def __await__(self) -> Generator[object, None, T]:
        return self._awaited().__await__()

    async def _awaited(self) -> T:
        pace = Pace(self._model)
        while not self.done():
            await pace.yield_turn()
            if not self.done():   # another task may have taken the step
                self._request.batch.step()
        return self._value()

    def _value(self) -> T:
        request = self._request
        if request.error is not None:
            raise request.error
        if request.stop_reason == "cancelled":
            raise CancelledError("the request was closed, or its batch was")
        return request.reader.value()

    def close(self) -> None:
        """Stop it, unless it has ended."""
        self._request.end("cancelled")

    def cancel(self) -> None:
        """As close()."""
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_request"):
            self.close()

    def __repr__(self) -> str:
        return f"<gemel.BatchFuture: {len(self._request.prompt_ids)} ids, {self._request.stop_reason or 'running'}>"
