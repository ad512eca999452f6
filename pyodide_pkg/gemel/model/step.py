"""One pass for several sessions, which reads the weights once: the next id of each, or a chunk of its prompt.

Ids are drawn and detokenised in the same call of the core.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from ..core import abi
from ..core.checks import flag, sequence, wrong_type
from ..core.errors import ArgumentError, GemelError
from ..core.library import check
from ..core.public import public
from ..text.ids import Ids, id_bytes, ids_of
from .core_model import CoreModel
from .core_session import CoreSession
from .sampler import Sampler

PIECE = 1024   # bytes for one id's text: more than the longest piece of any known vocabulary


@public
class Drawn(NamedTuple):
    """What a step did for one session.

    Attributes:
        id: drawn; None: nothing was drawn, or see error
        text: whole characters that are ready, UTF-8
        error: why the session is unchanged; a sampler's: its ids were evaluated; None: all went well
        is_ready: the id was evaluated ahead, because a grammar forces it: a step with it needs no pass
    """

    id: int | None
    text: bytes
    error: GemelError | None
    is_ready: bool = False


def step(
    model: CoreModel,
    sessions: Sequence[CoreSession],
    ids: Sequence[Ids],
    samplers: Sequence[Sampler | None] | None = None,
    *,
    logits: bool = False,
) -> list[Drawn]:
    """Append ids[i] to sessions[i], and draw an id where samplers[i] is given; at most model.n_batch ids in all."""
    _check_kinds(sessions, samplers)
    flag("logits", logits)
    given = [
        id_bytes(part, model.n_vocab, f"ids[{i}]")   # type: ignore[arg-type]  # it checks
        for i, part in enumerate(sequence("ids", ids, "a list with a sequence of ids per session"))
    ]
    if not sessions or len(given) != len(sessions) or (samplers is not None and len(samplers) != len(sessions)):
        n_samplers = "" if samplers is None else f", and {len(samplers)} samplers"
        counts = f"{len(sessions)} sessions, but {len(given)} lists of ids{n_samplers}"
        raise ArgumentError(f"{counts}: pass one per session")
    if any(session.model is not model for session in sessions) or len(set(map(id, sessions))) < len(sessions):
        raise ArgumentError("sessions: each must be of this model, and none may appear twice")
    drawing = [sampler for sampler in samplers or () if sampler is not None]
    are_foreign = any(sampler.handle.parent is not model._handle for sampler in drawing)
    if are_foreign or len(set(map(id, drawing))) < len(drawing):
        raise ArgumentError("samplers: each must be of this model, and none may appear twice")
    total = sum(map(len, given))
    if total > model.n_batch or len(sessions) > model.n_batch:
        raise ArgumentError(f"{total} ids in one step: at most {model.n_batch} (model.n_batch) are allowed")
    return Pass(model, sessions, samplers, [len(part) for part in given], logits=logits).run(given)


class _Entered:
    """Context managers, entered in order. contextlib.ExitStack takes several times as long."""

    def __init__(self, managers: Sequence[AbstractContextManager[object]]) -> None:
        self._managers = managers
        self._n = 0   # that were entered

    def __enter__(self) -> None:
        self._n = 0
        try:
            for one in self._managers:
                one.__enter__()
                self._n += 1
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for one in reversed(self._managers[: self._n]):
            one.__exit__(None, None, None)


class Pass:
    """A step of arguments that are known to be good, which may be taken again with other ids: a batch takes many.

    Each time it evaluates counts[i] ids in sessions[i]. wants[i]: what else they give: 0, abi.WANT_HIDDEN or
    abi.WANT_SCORES. One thread at a time may take it.
    """

    def __init__(
        self, model: CoreModel, sessions: Sequence[CoreSession], samplers: Sequence[Sampler | None] | None,
        counts: Sequence[int], *, logits: bool, wants: Sequence[int] = (),
    ) -> None:  # fmt: skip
        library, n = model._library, len(sessions)
        self._model, self._sessions, self._draws = model, sessions, samplers is not None
        # Locks are taken in one order everywhere, so that two calls with common sessions can't wait for each other.
        locks = [one for session in sorted(sessions, key=id) for one in (session._lock, session._handle)]
        handles = [model._handle, *(one.handle for one in samplers or () if one is not None)]
        self._alone = _Entered([*handles, *locks, model._run_lock])
        word = library.size_size
        held = [session._handle.address for session in sessions]   # 0 of a closed one, which can't be entered
        tools = [0 if one is None else one.handle.address for one in samplers or ()]
        lent = b"".join(one.to_bytes(word, "little") for one in [*held, *tools])
        self._given = library.lend(lent + array("i", counts).tobytes())
        given = self._given.address
        # What the core writes: ids drawn, sizes of their texts, codes, texts.
        self._out = library.alloc(12 * n + (PIECE * n if self._draws else 4))
        out = self._out.address
        self._before = (model._handle.address, given, given + len(lent))
        self._after = (
            given + word * n if self._draws else None, n, abi.STEP_LOGITS if logits else 0,
            out, out + 12 * n, PIECE, out + 4 * n, out + 8 * n, *self._wanted(counts, wants),
        )  # fmt: skip

    def _wanted(self, counts: Sequence[int], wants: Sequence[int]) -> tuple[int | None, int | None, int | None]:
        """Place what the ids give; return the addresses of the wants, of hidden states and of log-probabilities."""
        self._made: list[tuple[int, int]] = []   # of each session: where it is, and how many bytes
        if not any(wants):
            return None, None, None
        library = self._model._library
        sizes = {abi.WANT_SCORES: 8, abi.WANT_HIDDEN: 4 * self._model.n_embd}   # of an id
        total = {want: sum(n for n, one in zip(counts, wants, strict=True) if one == want) for want in sizes}
        self._rows = library.alloc(sum(size * total[want] for want, size in sizes.items()))
        self._wants = library.lend(array("i", wants))
        starts = {abi.WANT_SCORES: self._rows.address}
        starts[abi.WANT_HIDDEN] = self._rows.address + 8 * total[abi.WANT_SCORES]
        at = dict(starts)
        for n, want in zip(counts, wants, strict=True):
            size = n * sizes.get(want, 0)
            self._made.append((at.get(want, 0), size))
            if want:
                at[want] += size
        return self._wants.address, starts[abi.WANT_HIDDEN], starts[abi.WANT_SCORES]

    def made(self, i: int) -> bytes:
        """Return what the ids of sessions[i] gave: float32 [n][n_embd], or doubles [n]."""
        address, size = self._made[i]
        return self._model._library.read(address, size)

    def run(self, parts: Sequence[array[int]]) -> list[Drawn]:
        """Evaluate parts[i] in sessions[i]."""
        library, n = self._model._library, len(self._sessions)
        ids = array("i")
        for part in parts:
            ids += part
        with self._alone:
            for session in self._sessions:
                session._check_usable()
            for session in self._sessions:
                session._revision += 1
            code = library.call("gemel_model_step", *self._before, library.lend(ids), *self._after)
            check(library, code, "a step")
            made = library.read(self._out.address, self._out.size)
            drawn = ids_of(made[: 12 * n])
            errors = [
                None if code >= 0 else _error(session, code)
                for session, code in zip(self._sessions, drawn[2 * n :], strict=True)
            ]
        if not self._draws:
            return [Drawn(None, b"", error) for error in errors]
        texts, codes = range(12 * n, 12 * n + PIECE * n, PIECE), drawn[2 * n :]
        return [
            Drawn(id if id >= 0 else None, made[at : at + size], error, code > 0)
            for id, size, at, error, code in zip(drawn[:n], drawn[n : 2 * n], texts, errors, codes, strict=True)
        ]


def decode(model: CoreModel, sessions: Sequence[CoreSession], ids: Ids) -> list[GemelError | None]:
    """Append ids[i] to sessions[i]; return per session None, or the error that left it unchanged."""
    _check_kinds(sessions, None)
    given = id_bytes(ids, model.n_vocab)
    if len(given) != len(sessions):
        raise ArgumentError(f"{len(sessions)} sessions, but {len(given)} ids: pass one per session")
    if any(session.model is not model for session in sessions) or len(set(map(id, sessions))) < len(sessions):
        raise ArgumentError("sessions: each must be of this model, and none may appear twice")
    outcomes: list[GemelError | None] = []
    for start in range(0, len(given), model.n_batch):
        end = start + model.n_batch
        parts = [[id] for id in given[start:end]]
        outcomes += [drawn.error for drawn in step(model, sessions[start:end], parts, logits=True)]
    return outcomes


def _check_kinds(sessions: object, samplers: object) -> None:
    """Raise ArgumentTypeError for what is not a list of sessions, or of samplers and None."""
    for session in sequence("sessions", sessions, "a list of sessions"):
        if not isinstance(session, CoreSession):
            raise wrong_type("sessions", session, "a list of sessions")
    wanted = "a list with a sampler or None per session, or None"
    for sampler in () if samplers is None else sequence("samplers", samplers, wanted):
        if sampler is not None and not isinstance(sampler, Sampler):
            raise wrong_type("samplers", sampler, wanted)


def _error(session: CoreSession, code: int) -> GemelError | None:
    try:
        session._check(code, "a step")
    except GemelError as error:
        return error
    return None
