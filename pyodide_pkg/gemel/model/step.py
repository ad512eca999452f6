"""One pass for several sessions, which reads the weights once: the next id of each, or a chunk of its prompt.

Ids are drawn and detokenised in the same call of the core.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from ..core import abi
from ..core.checks import flag, sequence, wrong_type
from ..core.errors import ArgumentError, GemelError
from ..core.library import check
from ..text.ids import Ids, id_bytes, ids_of
from .core_model import CoreModel
from .core_session import CoreSession, alone
from .sampler import Sampler

PIECE = 1024   # bytes for one id's text: more than the longest piece of any known vocabulary


class Drawn(NamedTuple):
    """What a step did for one session.

    Attributes:
        id: drawn; None: nothing was drawn, or see error
        text: whole characters that are ready, UTF-8
        error: why the session is unchanged; a sampler's: its ids were evaluated; None: all went well
    """

    id: int | None
    text: bytes
    error: GemelError | None


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
        raise ArgumentError(f"{len(sessions)} sessions, but {len(given)} lists of ids{n_samplers}: one per session")
    if any(session.model is not model for session in sessions) or len(set(map(id, sessions))) < len(sessions):
        raise ArgumentError("a step takes different sessions of this model")
    drawing = [sampler for sampler in samplers or () if sampler is not None]
    are_foreign = any(sampler.handle.parent is not model._handle for sampler in drawing)
    if are_foreign or len(set(map(id, drawing))) < len(drawing):
        raise ArgumentError("a step takes different samplers of this model: one per sequence")
    total = sum(map(len, given))
    if total > model.n_batch or len(sessions) > model.n_batch:
        raise ArgumentError(f"{total} ids in one step: at most {model.n_batch} (model.n_batch) are allowed")
    library, n = model._library, len(sessions)
    flat = array("i", [id for part in given for id in part])
    counts = library.lend(array("i", map(len, given)))
    codes, drawn, sizes = (library.alloc(4 * n) for _ in range(3))
    text = library.alloc(PIECE * n if samplers is not None else 4)
    with ExitStack() as stack:
        address = stack.enter_context(model._handle)
        tools = [0 if s is None else stack.enter_context(s.handle) for s in samplers or []]
        held = stack.enter_context(alone(sessions))
        code = library.call(
            "gemel_model_step",
            address,
            library.lend(_addresses(library.size_size, held)),
            counts,
            library.lend(flat),
            None if samplers is None else library.lend(_addresses(library.size_size, tools)),
            n,
            abi.STEP_LOGITS if logits else 0,
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


def decode(model: CoreModel, sessions: Sequence[CoreSession], ids: Ids) -> list[GemelError | None]:
    """Append ids[i] to sessions[i]; return per session None, or the error that left it unchanged."""
    _check_kinds(sessions, None)
    given = id_bytes(ids, model.n_vocab)
    if len(given) != len(sessions):
        raise ArgumentError(f"{len(sessions)} sessions were given {len(given)} ids: one per session")
    if any(session.model is not model for session in sessions) or len(set(map(id, sessions))) < len(sessions):
        raise ArgumentError("decode() takes different sessions of this model")
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


def _addresses(size: int, addresses: Sequence[int]) -> bytes:
    return b"".join(address.to_bytes(size, "little") for address in addresses)


def _outcome(session: CoreSession, code: int) -> GemelError | None:
    try:
        session._check(code, "a step")
    except GemelError as error:
        return error
    return None
