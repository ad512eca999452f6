"""One pass for several sessions that reads the weights once: the next id of each, or a chunk of its prompt.

What is drawn after them is drawn and detokenised in the same crossing to the core.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from . import _abi
from ._errors import ArgumentError, GemelError
from ._library import check
from ._text import id_bytes, ids_of

if TYPE_CHECKING:
    from ._model import Model
    from ._sampling import Sampler
    from ._session import Session

PIECE = 1024   # bytes for one id's text: more than the longest piece of any vocabulary known


class Drawn(NamedTuple):
    """What a step gave one session."""

    id: int | None             # drawn; None: nothing was, or see error
    text: bytes                # whole characters that are ready, UTF-8
    error: GemelError | None   # why the session was left as it was; of its sampler: its ids were evaluated


def step(
    model: Model,
    sessions: Sequence[Session],
    ids: Sequence[Sequence[int]],
    samplers: Sequence[Sampler | None] | None = None,
    *,
    logits: bool = False,
) -> list[Drawn]:
    """Append ids[i] to sessions[i], and draw an id where samplers[i] is given; at most model.n_batch ids in all."""
    given = [id_bytes(part, model.n_vocab) for part in ids]
    if not sessions or len(given) != len(sessions) or (samplers is not None and len(samplers) != len(sessions)):
        raise ArgumentError(f"{len(sessions)} sessions need as many lists of ids, and as many samplers: {len(given)}")
    if any(session.model is not model for session in sessions) or len(set(map(id, sessions))) < len(sessions):
        raise ArgumentError("a step takes different sessions, all of this model")
    drawing = [sampler for sampler in samplers or () if sampler is not None]
    are_foreign = any(sampler.handle.parent is not model._handle for sampler in drawing)
    if are_foreign or len(set(map(id, drawing))) < len(drawing):
        raise ArgumentError("a step takes different samplers, all of this model: one for each sequence")
    total = sum(map(len, given))
    if total > model.n_batch or len(sessions) > model.n_batch:
        raise ArgumentError(f"{total} ids in one step: {model.n_batch} (model.n_batch) are the most")
    library, n = model._library, len(sessions)
    flat = array("i", [id for part in given for id in part])
    counts = library.lend(array("i", map(len, given)))
    codes, drawn, sizes = (library.alloc(4 * n) for _ in range(3))
    text = library.alloc(PIECE * n if samplers is not None else 4)
    with ExitStack() as stack:
        # In one order everywhere: two calls that share sessions can't wait for each other.
        held = {id(s): stack.enter_context(s._using()) for s in sorted(sessions, key=id)}
        tools = [0 if s is None else stack.enter_context(s.handle) for s in samplers or []]
        stack.enter_context(model._turn)
        for session in sessions:
            session._revision += 1
        address = stack.enter_context(model._handle)
        code = library.call(
            "gemel_model_step",
            address,
            library.lend(_addresses(library.size_size, [held[id(s)] for s in sessions])),
            counts,
            library.lend(flat),
            None if samplers is None else library.lend(_addresses(library.size_size, tools)),
            n,
            _abi.STEP_LOGITS if logits else 0,
            drawn,
            text,
            PIECE,
            sizes,
            codes,
        )
        check(library, code, "a step")
        outcomes = [_outcome(s, c) for s, c in zip(sessions, ids_of(library.read(codes.address, 4 * n)), strict=True)]
    if samplers is None:
        return [Drawn(None, b"", error) for error in outcomes]
    found, ends = ids_of(library.read(drawn.address, 4 * n)), ids_of(library.read(sizes.address, 4 * n))
    texts = library.read(text.address, PIECE * n)
    return [
        Drawn(id if id >= 0 else None, texts[PIECE * i : PIECE * i + size], error)
        for i, (id, size, error) in enumerate(zip(found, ends, outcomes, strict=True))
    ]


def decode(model: Model, sessions: Sequence[Session], ids: Sequence[int]) -> list[GemelError | None]:
    """Append ids[i] to sessions[i]; return None, or the error that left a session as it was, for each."""
    given = id_bytes(ids, model.n_vocab)
    if len(given) != len(sessions):
        raise ArgumentError(f"{len(sessions)} sessions were given {len(given)} ids: one for each is needed")
    if any(session.model is not model for session in sessions) or len(set(map(id, sessions))) < len(sessions):
        raise ArgumentError("decode() takes different sessions, all of this model")
    outcomes: list[GemelError | None] = []
    for start in range(0, len(given), model.n_batch):
        end = start + model.n_batch
        parts = [[id] for id in given[start:end]]
        outcomes += [drawn.error for drawn in step(model, sessions[start:end], parts, logits=True)]
    return outcomes


def _addresses(size: int, addresses: Sequence[int]) -> bytes:
    return b"".join(address.to_bytes(size, "little") for address in addresses)


def _outcome(session: Session, code: int) -> GemelError | None:
    try:
        session._check(code, "a step")
    except GemelError as error:
        return error
    return None
