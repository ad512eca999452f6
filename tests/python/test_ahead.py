"""A prompt evaluated while the model arrives: eval's bits for every model, and no order of closing that is unsafe."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from pathlib import Path

import gemel
import numpy as np
import pytest
from conftest import tiny_bytes
from gemel._choice import load
from gemel.core import abi
from gemel.core.library import Handle, check, open_handle, pointer_at

IDS = [1, *range(3, 140), 7, 7, 7, *range(20, 100)]   # two micro-batches
SHARED: dict[str, object] = {"arch": "gemma4", "n_layer": 6, "shared_kv": 3, "wide_shared": True, "window": 50}
MODELS: dict[str, dict[str, object]] = {
    "plain": {},
    "tied": {"tied": True},
    "tied and -128 among its codes": {"tied": True, "formats": {"token_embd": "Q8_0"}},
    "k quants": {"format": "Q4_K", "formats": {"attn_v": "Q6_K"}, "n_embd": 256, "n_ff": 256},
    "floats": {"format": "F16", "formats": {"ffn_down": "F32", "output": "BF16"}},
    "heads padded to sixteen": {"n_head": 4, "n_head_kv": 2, "head_dim": 24, "n_embd": 96, "biases": True},
    "llama3 factors": {"rope": "llama3"},
    "longrope": {"rope": "longrope"},
    "stored by name": {"by_name": True, "n_layer": 12},
    "keys of earlier layers": SHARED,
    "embeddings of layers": {**SHARED, "per_layer": 64},
    "states": {"arch": "lfm2", "n_layer": 4},
    "states and halves": {"arch": "nemotron_h", "n_layer": 4},
    "gated delta nets": {"arch": "qwen35", "n_layer": 3},
    "values of layer 0": {"arch": "rwkv7", "n_layer": 4},
    **{
        arch: {"arch": arch, "n_layer": 4} for arch in (
            "qwen35moe", "qwen3next", "lfm2moe", "mamba", "mamba2", "granitehybrid", "falcon-h1", "arwkv7",
        )
    },
}   # fmt: skip


class Arrival:
    """A loader past `begin`, fed tensor by tensor."""

    def __init__(self, data: bytes, *, threads: int = 1) -> None:
        self.library, self.data = load(), data
        self.error = self.library.alloc(512)
        self.handle = open_handle(
            self.library, "gemel_loader_open", float(len(data)), where="bytes", error=self.error
        )
        self.feed(0, len(data))
        with self.handle as loader:
            gguf = self.library.call("gemel_loader_gguf", loader)
            self.library.call("gemel_loader_set", loader, abi.LOADER_N_THREADS, threads)
            code = self.library.call("gemel_loader_begin", loader, self.error, self.error.size)
        check(self.library, code, "begin", self.error)
        self.places = dict(self._place(gguf, i) for i in range(self.library.call("gemel_gguf_n_tensors", gguf)))

    def _place(self, gguf: int, i: int) -> tuple[str, tuple[int, int]]:
        size = self.library.alloc(8)
        at = self.library.call("gemel_gguf_tensor_name", gguf, i, size)
        name = self.library.read(at, pointer_at(self.library, size)).decode()
        offset = int(self.library.call("gemel_gguf_tensor_offset", gguf, i))
        return name, (offset, int(self.library.call("gemel_gguf_tensor_size", gguf, i)))

    def feed(self, offset: int, size: int) -> None:
        piece = self.library.lend(self.data[offset : offset + size])
        with self.handle as loader:
            code = self.library.call(
                "gemel_loader_feed", loader, float(offset), piece, size, self.error, self.error.size
            )
        check(self.library, code, "feed", self.error)

    def feed_named(self, start: str) -> None:
        """Feed the tensors whose names begin so."""
        for name, place in self.places.items():
            if name.startswith(start):
                self.feed(*place)

    @property
    def n_layers(self) -> int:
        with self.handle as loader:
            return int(self.library.call("gemel_loader_n_layers", loader))

    def session(self, n_ctx: int = 256) -> Handle:
        """Open a session on the arriving model; the loader lives as long as it."""
        out = self.library.alloc(8)
        with self.handle as loader:
            model = self.library.call("gemel_loader_model", loader)
            check(self.library, self.library.call("gemel_session_open", model, n_ctx, out), "session")
            return Handle(self.library, pointer_at(self.library, out), "gemel_session_close", self.handle)

    def finish(self) -> Handle:
        out = self.library.alloc(8)
        with self.handle as loader:
            code = self.library.call("gemel_loader_finish", loader, out, self.error, self.error.size)
        check(self.library, code, "finish", self.error)
        return Handle(self.library, pointer_at(self.library, out), "gemel_model_close")


def ahead(session: Handle, ids: Sequence[int], n_layers: int) -> int:
    library = load()
    with session as address:
        lent = library.lend(array("i", ids))
        return check(library, library.call("gemel_session_preload", address, lent, len(ids), n_layers), "ahead")


def logits_of(session: Handle, n_vocab: int) -> bytes:
    library = load()
    with session as address:
        at = library.call("gemel_session_logits", address)
        return library.read(at, 4 * n_vocab) if at else b""


def with_min8(data: bytes, fields: dict[str, object]) -> bytes:
    """Give token_embd the code -128, so that packing changes its kind."""
    if "formats" not in fields or not fields.get("tied"):
        return data
    at = Arrival(data).places["token_embd.weight"][0]
    return data[: at + 5] + struct.pack("b", -128) + data[at + 6 :]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_evals_bits_while_layers_arrive(name: str, threads: int) -> None:
    data = with_min8(tiny_bytes(**MODELS[name]), MODELS[name])
    with gemel.open(data) as model, model.session(n_ctx=256) as session:
        session.append(IDS)
        wanted, n_vocab, n_layer = np.asarray(session.logits()).tobytes(), model.n_vocab, model.n_layer
    arrival = Arrival(data, threads=threads)
    arrival.feed_named("rope_")
    arrival.feed_named("token_embd")
    arrival.feed_named("per_layer")
    session_handle = arrival.session()
    for il in range(n_layer):
        assert arrival.n_layers == il
        arrival.feed_named(f"blk.{il}.")
        assert ahead(session_handle, IDS, il + 1) == il + 1
    arrival.feed_named("output")
    assert logits_of(session_handle, n_vocab) == b""
    model_handle = arrival.finish()
    session_handle.move_to(model_handle)
    arrival.handle.close()
    assert ahead(session_handle, IDS, n_layer) == n_layer
    assert logits_of(session_handle, n_vocab) == wanted
    model_handle.close()   # the session still uses it
    assert logits_of(session_handle, n_vocab) == wanted
    session_handle.close()


def test_only_the_last_token_goes_through_layers_that_put_nothing_into_the_cache() -> None:
    arrival = Arrival(tiny_bytes(**SHARED))
    arrival.feed_named("")
    session, library = arrival.session(), arrival.library
    events = library.alloc(8 * abi.EVENT_SIZE * 1000)
    with session as address:
        check(library, library.call("gemel_session_profile", address, events, 1000), "profile")
    assert ahead(session, IDS, 6) == 6
    with session as address:
        n = library.call("gemel_session_profile_count", address)
    assert 0 < n <= 1000
    rows: dict[int, int] = {}
    seen = struct.iter_unpack(f"={abi.EVENT_SIZE}d", library.read(events.address, 8 * abi.EVENT_SIZE * n))
    for event in seen:
        il = int(event[abi.EVENT_LAYER])
        rows[il] = max(rows.get(il, 0), int(event[abi.EVENT_TOKENS]))
    assert [rows[il] for il in range(6)] == [128, 128, 128, 1, 1, 1]
    session.close()
    arrival.handle.close()


@pytest.mark.long
def test_the_real_models_bits_while_layers_arrive(real_model: gemel.Model, real_path: Path) -> None:
    ids = real_model.tokenize("The quick brown fox jumps over the lazy dog. " * 16)
    with real_model.session(n_ctx=256) as session:
        session.append(ids)
        wanted = np.asarray(session.logits()).tobytes()
    arrival = Arrival(real_path.read_bytes(), threads=2)
    arrival.feed_named("token_embd")
    session_handle = arrival.session()
    for il in range(real_model.n_layer):
        arrival.feed_named(f"blk.{il}.")
        assert arrival.n_layers == il + 1
        assert ahead(session_handle, ids, il + 1) == il + 1
    arrival.feed_named("output")
    model_handle = arrival.finish()
    session_handle.move_to(model_handle)
    arrival.handle.close()
    assert ahead(session_handle, ids, real_model.n_layer) == real_model.n_layer
    assert logits_of(session_handle, real_model.n_vocab) == wanted
    session_handle.close()
    model_handle.close()


@pytest.mark.parametrize("rope", ["llama3", "longrope"])
def test_sessions_wait_for_the_rope_factors(rope: str) -> None:
    arrival = Arrival(tiny_bytes(rope=rope))
    arrival.feed_named("token_embd")
    assert arrival.n_layers == -1
    with pytest.raises(gemel.ArgumentError):
        arrival.session()
    arrival.feed_named("rope_")
    assert arrival.n_layers == 0
    arrival.session().close()
    arrival.handle.close()


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bad_rope_factor_is_refused_when_it_arrives(factor: float) -> None:
    data = tiny_bytes(rope="llama3")
    offset, _ = Arrival(data).places["rope_freqs.weight"]
    arrival = Arrival(data[: offset + 8] + struct.pack("<f", factor) + data[offset + 12 :])
    arrival.feed_named("token_embd")
    with pytest.raises(gemel.FormatError, match=r"rope_freqs\.weight"):
        arrival.feed_named("rope_")
    assert arrival.n_layers == -1
    with pytest.raises(gemel.ArgumentError):
        arrival.session()
    arrival.handle.close()


def test_a_closed_loader_waits_for_its_sessions() -> None:
    arrival = Arrival(tiny_bytes())
    arrival.feed_named("token_embd")
    arrival.feed_named("blk.0.")
    session = arrival.session()
    arrival.handle.close()
    assert ahead(session, IDS, 1) == 1   # the arriving model is still there
    session.close()


def test_a_refused_tensor_leaves_the_session_closable() -> None:
    data = tiny_bytes(format="F32")
    offset, _ = Arrival(data).places["blk.1.attn_q.weight"]
    arrival = Arrival(data[:offset] + struct.pack("<f", float("nan")) + data[offset + 4 :])
    arrival.feed_named("token_embd")
    arrival.feed_named("blk.0.")
    session = arrival.session()
    with pytest.raises(gemel.FormatError, match=r"blk\.1\.attn_q\.weight"):
        arrival.feed_named("blk.1.")
    assert arrival.n_layers == 1
    assert ahead(session, IDS, 1) == 1
    with pytest.raises(gemel.ArgumentError):
        ahead(session, IDS, 2)
    session.close()
    arrival.handle.close()


def test_the_arriving_model_tokenizes_and_knows_itself() -> None:
    data = tiny_bytes()
    library, arrival = load(), Arrival(data)
    out = library.alloc(8)
    with gemel.open(data) as model, arrival.handle as loader:
        arriving = library.call("gemel_loader_model", loader)
        for field, wanted in ((abi.MODEL_N_LAYER, model.n_layer), (abi.MODEL_N_PARAMS, model.n_params),
                              (abi.MODEL_DECODE_SIZE, model.decode_size)):
            assert library.call("gemel_model_get", arriving, field, out) == 0
            assert struct.unpack("d", library.read(out.address, 8))[0] == wanted
        text = b"the weather there"
        ids = library.alloc(4 * 64)
        n = library.call("gemel_tokenize", arriving, library.lend(text), len(text), 0, ids, 64)
        assert list(struct.unpack(f"{n}i", library.read(ids.address, 4 * n))) == model.tokenize(text.decode())
    arrival.handle.close()
