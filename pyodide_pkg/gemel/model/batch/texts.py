"""The texts of an encoder's batch: those that wait are embedded together, without padding."""

from __future__ import annotations

import time

from ...core.errors import GemelError
from ..core_model import CoreModel
from ..embed import not_finite
from .counts import Counts
from .future import PooledReader, ReadRequest
from .request import Request
from .waiting import Waiting

IDS = 1024   # of a step, at most, unless one text has more


def embed_next(model: CoreModel, waiting: Waiting[Request], counts: Counts) -> bool:
    """Embed the texts that are next, and end their requests; return whether others wait."""
    taken: list[ReadRequest[object]] = []
    readers: list[PooledReader] = []
    room = IDS

    def fits(request: Request) -> bool:
        if not isinstance(request, ReadRequest) or not isinstance(request.reader, PooledReader):
            return False
        alike = not readers or request.reader.pooling == readers[0].pooling
        return alike and (not taken or len(request.prompt_ids) <= room)

    while (request := waiting.take_any(fits)) is not None:
        assert isinstance(request, ReadRequest)
        assert isinstance(request.reader, PooledReader)
        taken.append(request)
        readers.append(request.reader)
        room -= len(request.prompt_ids)
    if taken:
        start = time.perf_counter()
        _embed(model, taken, readers)
        counts.note(sum(len(one.prompt_ids) for one in taken), 0, time.perf_counter() - start)
    return len(waiting) > 0


def _embed(model: CoreModel, taken: list[ReadRequest[object]], readers: list[PooledReader]) -> None:
    try:
        types = [reader.types for reader in readers]
        rows = model._embed_rows([one.prompt_ids for one in taken], readers[0].pooling, types)
    except GemelError as error:
        for one in taken:
            one.finish("error", error)
        return
    except BaseException:
        for one in taken:
            one.finish("cancelled")
        raise
    for one, reader, row in zip(taken, readers, rows, strict=True):
        if row is None:
            one.finish("error", not_finite())
        else:
            reader.take_row(row)
            one.finish("length")
