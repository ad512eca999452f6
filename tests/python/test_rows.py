"""Embeddings in the place of ids, and layers a few at a time, are the same pass: not one bit changes."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import gemel
import numpy as np
import pytest
from archs import DECODERS
from conftest import tiny_bytes
from gemel import KV_TYPES, KvType
from gguf_file import F32
from reference import Reference

Open = Callable[..., gemel.Model]
IDS = [1, *range(3, 140), 7, 7, 7]   # longer than a micro-batch
FIELDS: dict[str, dict[str, Any]] = {
    **{f"{arch} {format_}": {"arch": arch, "format": format_, "n_layer": 3}
       for arch in DECODERS for format_ in ("F32", "Q4_1", "Q8_0")},
    "llama Q6_K": {"format": "Q6_K", "n_embd": 256, "n_ff": 256, "n_layer": 3},
    "llama, layers with different sizes": {
        "n_layer": 3, "head_dim": 32, "n_head": [4, 2, 3], "n_head_kv": [2, 2, 1], "n_ff": [96, 160, 64],
    },
}  # fmt: skip


@pytest.fixture(params=FIELDS)
def fields(request: pytest.FixtureRequest) -> dict[str, Any]:
    return FIELDS[request.param]


def embeddings(fields: dict[str, Any], ids: list[int]) -> F32:
    """Return rows of token_embd, dequantised by the reference: [n][n_embd]."""
    return Reference(tiny_bytes(**fields)).embed(ids).astype(np.float32)


def logits_of(session: gemel.Session) -> bytes:
    return bytes(np.asarray(session.logits()).tobytes())


# ---- Embeddings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
def test_embeddings_of_ids_have_the_bits_of_the_ids(tiny_model: Open, fields: dict[str, Any], threads: int) -> None:
    model, rows = tiny_model(threads=threads, **fields), embeddings(fields, IDS)
    with model.session() as session, model.session() as given:
        session.append(IDS)
        given.append_rows(rows)
        assert logits_of(given) == logits_of(session)
        assert given.ids == [-1] * len(IDS)
        given.append([5])
        session.append([5])
        assert logits_of(given) == logits_of(session)
        assert given.ids == [-1] * len(IDS) + [5]


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_embeddings_and_ids_mix_in_any_split(tiny_model: Open, kv_type: KvType) -> None:
    model, rows = tiny_model(), embeddings({}, IDS)
    with model.session(kv_type=kv_type) as session, model.session(kv_type=kv_type) as mixed:
        session.append(IDS)
        mixed.append(IDS[:20])
        mixed.append_rows(rows[20:21])
        mixed.append_rows(rows[21:90])
        mixed.append(IDS[90:130])
        mixed.append_rows(rows[130:])
        assert logits_of(mixed) == logits_of(session)
        assert mixed.ids == IDS[:20] + [-1] * 70 + IDS[90:130] + [-1] * (len(IDS) - 130)


def test_embeddings_are_no_ids_to_sync_with(tiny_model: Open) -> None:
    model, rows = tiny_model(), embeddings({}, IDS)
    with model.session() as session:
        session.append(IDS[:10])
        session.append_rows(rows[10:20])
        assert session.sync(IDS[:20]) == 10
        assert session.ids == IDS[:20]
        with model.session() as fresh:
            fresh.append(IDS[:20])
            assert logits_of(session) == logits_of(fresh)


def test_embeddings_are_cut_forked_and_saved_as_ids_are(tiny_model: Open) -> None:
    model, rows = tiny_model(), embeddings({}, IDS)
    with model.session() as wanted, model.session() as session, model.session() as other:
        wanted.append(IDS[:100])
        session.append_rows(rows[:120])
        session.truncate(80)
        with session.fork() as fork:
            fork.append_rows(rows[80:100])
            assert logits_of(fork) == logits_of(wanted)
            other.restore(fork.save())
            assert (other.ids, logits_of(other)) == ([-1] * 100, logits_of(wanted))


@pytest.mark.parametrize("kind", ["numpy", "memoryview", "columns first"])
def test_any_buffer_of_the_shape_will_do(tiny_model: Open, kind: str) -> None:
    model, rows = tiny_model(), embeddings({}, IDS[:9])
    given: Any = rows
    if kind == "memoryview":
        given = memoryview(array.array("f", rows.reshape(-1).tolist())).cast("B").cast("f", rows.shape)
    elif kind == "columns first":
        given = np.asfortranarray(rows)
    with model.session() as session, model.session() as wanted:
        session.append_rows(given)
        wanted.append(IDS[:9])
        assert logits_of(session) == logits_of(wanted)


# ---- Layers ---------------------------------------------------------------------------------------------------------


def stream(model: gemel.Model, rows: F32, cuts: list[int], kv_type: KvType | None = None) -> F32:
    """Send rows through all layers, [0, cuts[0]) first; each run of layers is a separate session, as on a machine."""
    ends = [*cuts, model.n_layer]
    for first, last in zip([0, *ends[:-1]], ends, strict=True):
        with model.session(kv_type=kv_type) as session:
            rows = np.asarray(session.layers(rows, first, last))
            assert session.n_past == len(rows)
    return rows


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_layers_cut_anywhere_give_the_whole_pass_residual(
    tiny_model: Open, fields: dict[str, Any], kv_type: KvType
) -> None:
    model, rows = tiny_model(threads=2, **fields), embeddings(fields, IDS)
    whole = stream(model, rows, [], kv_type)
    shares = fields.get("arch") in ("rwkv7", "arwkv7")   # all layers read the first one's values
    if shares:
        with pytest.raises(gemel.UnsupportedError, match="layers 1 to 3"):
            stream(model, rows, [1], kv_type)
    for cuts in () if shares else ([1], [2], [1, 2], [0, 1, 1, 3]):
        assert stream(model, rows, cuts, kv_type).tobytes() == whole.tobytes(), cuts
    reference = Reference(tiny_bytes(**fields), n_ctx=model.default_n_ctx)
    with model.session(kv_type=kv_type) as session:
        assert reference.norm("output_norm", whole).tobytes() == np.asarray(session.hidden(IDS)).tobytes()
        session.truncate(len(IDS) - 1)
        session.append(IDS[-1:])
        assert reference.head(reference.norm("output_norm", whole[-1:]))[0].tobytes() == logits_of(session)


def test_a_layers_positions_go_on_in_its_session(tiny_model: Open) -> None:
    model, rows = tiny_model(), embeddings({}, IDS)
    whole = stream(model, rows, [])
    with model.session() as session:
        parts = [session.layers(rows[at : at + 13], 0, model.n_layer) for at in range(0, len(rows), 13)]
        assert session.ids == [-1] * len(rows)
        assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_after_layers_there_are_no_logits(tiny_model: Open) -> None:
    model, rows = tiny_model(), embeddings({}, IDS[:5])
    with model.session() as session:
        session.append([1])
        session.layers(rows, 0, 1)
        with pytest.raises(gemel.ArgumentError, match="sync or append"):
            session.logits()


def test_no_layers_give_back_what_they_are_given(tiny_model: Open) -> None:
    model, rows = tiny_model(), embeddings({}, IDS[:5])
    with model.session() as session:
        for il in range(model.n_layer + 1):
            assert np.asarray(session.layers(rows, il, il)).tobytes() == rows.tobytes()
        assert session.n_past == 5 * (model.n_layer + 1)


def test_no_rows_are_no_positions(tiny_model: Open) -> None:
    model = tiny_model()
    none = np.zeros((0, model.n_embd), np.float32)
    with model.session() as session:
        session.append([1, 2])
        before = logits_of(session)
        session.append_rows(none)
        assert np.asarray(session.layers(none, 0, 1)).shape == (0, model.n_embd)
        assert (session.n_past, logits_of(session)) == (2, before)


# ---- Errors ---------------------------------------------------------------------------------------------------------


def test_rows_that_are_no_array_are_named(tiny_model: Open) -> None:
    with tiny_model().session() as session, pytest.raises(gemel.ArgumentError, match=r"float32 array .* got a list"):
        session.append_rows([[0.5] * session.model.n_embd])   # type: ignore[arg-type]


def test_rows_past_n_ctx_are_a_context_error_and_change_nothing(tiny_model: Open) -> None:
    model, rows = tiny_model(), embeddings({}, IDS)
    with model.session(n_ctx=16) as session:
        session.append_rows(rows[:10])
        before = logits_of(session)
        calls: list[Callable[[], object]] = [
            lambda: session.append_rows(rows[:7]), lambda: session.layers(rows[:7], 0, 1)
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(gemel.ContextError, match="7 tokens would follow the 10 evaluated: pass at most 6"):
                call()
        assert (session.n_past, logits_of(session)) == (10, before)
        session.append_rows(rows[10:16])
        assert session.n_past == 16


WRONG: dict[str, Any] = {
    "doubles": np.zeros((2, 64)),
    "integers": np.zeros((2, 64), np.int32),
    "one row alone": np.zeros(64, np.float32),
    "a column too few": np.zeros((2, 63), np.float32),
    "a column too many": np.zeros((2, 65), np.float32),
    "three dimensions": np.zeros((1, 2, 64), np.float32),
    "bytes": bytes(4 * 64),
}


@pytest.mark.parametrize("name", WRONG)
def test_rows_of_another_shape_or_type_are_refused(tiny_model: Open, name: str) -> None:
    with tiny_model().session() as session:
        for call in (session.append_rows, lambda rows: session.layers(rows, 0, 1)):
            with pytest.raises(gemel.ArgumentError, match=r"float32 of shape \[n\]\[64\]"):
                call(WRONG[name])
        assert session.n_past == 0


@pytest.mark.parametrize(("first", "last"), [(-1, 1), (0, 3), (2, 1), (3, 3), (0, True), (0.0, 1), (None, 1)])
def test_layers_that_are_not_there_are_refused(tiny_model: Open, first: Any, last: Any) -> None:  # noqa: ANN401
    with tiny_model().session() as session:
        with pytest.raises(gemel.ArgumentError, match="0 <= first <= last <= 2"):
            session.layers(np.zeros((1, 64), np.float32), first, last)
        assert session.n_past == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 3e38])
def test_rows_of_nan_and_infinity_are_a_numeric_error(tiny_model: Open, bad: float) -> None:
    model, rows = tiny_model(), embeddings({}, IDS[:20])
    rows[7, 3] = bad
    with model.session() as session:
        for call in (session.append_rows, lambda rows: session.layers(rows, 0, 2)):
            with pytest.raises(gemel.NumericError):
                call(rows)
        assert session.n_past == 0
        session.append(IDS)   # and goes on
        with model.session() as fresh:
            fresh.append(IDS)
            assert logits_of(session) == logits_of(fresh)


def test_rows_can_be_cancelled(tiny_model: Open) -> None:
    model, rows = tiny_model(), embeddings({}, IDS)
    with model.session() as session:
        for call in (session.append_rows, lambda rows: session.layers(rows, 0, 1)):
            session.cancel()
            with pytest.raises(gemel.CancelledError):
                call(rows)
        session.append_rows(rows)
        assert session.n_past == len(IDS)
