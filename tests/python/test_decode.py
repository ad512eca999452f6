"""Several sessions, one pass: each goes on as it would alone, and what stops one stops no other."""

from __future__ import annotations

from collections.abc import Callable

import gemel
import numpy as np
import pytest

OpenTiny = Callable[..., gemel.Model]
PROMPTS = [[1, 2, 3], [7], [*range(5, 45)], [9, 8, 7, 6, 5]]


def alone(model: gemel.Model, prompt: list[int], ids: list[int]) -> list[bytes]:
    with model.session(64) as session:
        session.sync(prompt)
        rows = []
        for id in ids:
            session.append([id])
            rows.append(np.asarray(session.logits()).tobytes())
        return rows


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    "fields", [{"format": "Q4_1"}, {"format": "F16"}, {"format": "Q6_K", "n_embd": 256, "n_ff": 256}]
)
def test_sessions_decoded_together_have_the_bits_of_each_alone(
    tiny_model: OpenTiny, fields: dict[str, object], threads: int
) -> None:
    model = tiny_model(n_layer=2, threads=threads, **fields)
    ids = [[11, 12, 13], [21, 22, 23], [31, 32, 33], [41, 42, 43]]
    sessions = [model.session(64) for _ in PROMPTS]
    for session, prompt in zip(sessions, PROMPTS, strict=True):
        session.sync(prompt)
    together: list[list[bytes]] = [[] for _ in PROMPTS]
    for step in range(3):
        assert model.decode(sessions, [row[step] for row in ids]) == [None] * 4
        for rows, session in zip(together, sessions, strict=True):
            rows.append(np.asarray(session.logits()).tobytes())
    assert together == [alone(model, prompt, row) for prompt, row in zip(PROMPTS, ids, strict=True)]
    assert [session.ids for session in sessions] == [a + b for a, b in zip(PROMPTS, ids, strict=True)]


def test_more_sessions_than_scored_rows_or_a_micro_batch(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    sessions = [model.session(8) for _ in range(model.n_batch + 5)]
    assert model.decode(sessions, [*range(1, len(sessions) + 1)]) == [None] * len(sessions)
    for i in (0, 15, 16, 127, 128, 132):
        with model.session(8) as one:
            one.sync([i + 1])
            assert np.asarray(one.logits()).tobytes() == np.asarray(sessions[i].logits()).tobytes()


def test_a_full_or_cancelled_session_is_left_as_it_was(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    full, cancelled, well = model.session(3), model.session(8), model.session(8)
    for session in (full, cancelled, well):
        session.sync([1, 2, 3])
    cancelled.cancel()
    outcomes = model.decode([full, cancelled, well], [4, 4, 4])
    assert [type(outcome) for outcome in outcomes] == [gemel.ContextError, gemel.CancelledError, type(None)]
    assert (full.ids, cancelled.ids, well.ids) == ([1, 2, 3], [1, 2, 3], [1, 2, 3, 4])
    assert model.decode([cancelled], [4]) == [None]


def test_what_is_no_row_of_sessions_is_refused(tiny_model: OpenTiny) -> None:
    model, other = tiny_model(), tiny_model()
    session, stranger = model.session(8), other.session(8)
    rows = (([session], [1, 2]), ([session, session], [1, 2]), ([session, stranger], [1, 2]), ([session], [-1]))
    for sessions, ids in rows:
        with pytest.raises(gemel.ArgumentError):
            model.decode(sessions, ids)
    assert session.n_past == 0
    assert model.decode([], []) == []
