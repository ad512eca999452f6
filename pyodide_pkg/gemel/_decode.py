"""One token for each of several sessions, in one pass that reads the weights once: what many users at a time need."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from . import _abi
from ._errors import ArgumentError, GemelError
from ._library import check
from ._text import id_bytes

if TYPE_CHECKING:
    from ._model import Model
    from ._session import Session


def decode(model: Model, sessions: Sequence[Session], ids: Sequence[int]) -> list[GemelError | None]:
    """Append ids[i] to sessions[i]; return None, or the error that left a session as it was, for each."""
    given = id_bytes(ids, model.n_vocab)
    if len(given) != len(sessions):
        raise ArgumentError(f"{len(sessions)} sessions were given {len(given)} ids: one for each is needed")
    if any(session.model is not model for session in sessions) or len(set(map(id, sessions))) < len(sessions):
        raise ArgumentError("decode() takes different sessions, all of this model")
    outcomes: list[GemelError | None] = []
    for start in range(0, len(given), model.n_batch):
        outcomes += _pass(model, sessions[start : start + model.n_batch], given[start : start + model.n_batch])
    return outcomes


def _pass(model: Model, sessions: Sequence[Session], ids: array[int]) -> list[GemelError | None]:
    library = model._library
    with ExitStack() as stack:
        # In one order everywhere: two calls that share sessions can't wait for each other.
        held = {id(s): stack.enter_context(s._using()) for s in sorted(sessions, key=id)}
        addresses = b"".join(held[id(s)].to_bytes(library.size_size, "little") for s in sessions)
        codes, ones = library.alloc(4 * len(ids)), library.lend(array("i", [1] * len(ids)))
        stack.enter_context(model._turn)
        for session in sessions:
            session._revision += 1
        lent = library.lend(addresses), ones, library.lend(ids)
        address = stack.enter_context(model._handle)
        nothing = None, None, 0, None
        flags = _abi.STEP_LOGITS
        code = library.call("gemel_model_step", address, *lent, None, len(ids), flags, *nothing, codes)
        check(library, code, "decode")
        found = array("i", library.read(codes.address, codes.size))
    return [_outcome(session, code) for session, code in zip(sessions, found, strict=True)]


def _outcome(session: Session, code: int) -> GemelError | None:
    try:
        session._check(code, "decode")
    except GemelError as error:
        return error
    return None

