"""Loading in whatever order bytes come: the plan by layers, a download's blocks, split files, a prompt on the way."""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
import weakref
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import gemel
import pytest
import tiny
from conftest import CHATML, tiny_bytes
from gemel._choice import load
from gemel.model.loader import at_once
from gemel.model.opening import load_model
from gemel.source import layer_order as plan
from gemel.source import piece_order, sources
from gemel.source import pieces as local
from gemel.source.catalog import part_names
from gemel.source.layer_order import Span, block_size, blocks, layer_order, pieces

FIELDS: dict[str, Any] = {"n_layer": 12, "by_name": True, "chat_template": CHATML}
DATA = tiny_bytes(**FIELDS)
IDS = [1, 5, 9, 13, 2, 7]


def logits_of(model: gemel.Model) -> bytes:
    with model, model.session() as session:
        session.sync(IDS)
        return bytes(session.logits())


@pytest.fixture(scope="module")
def logits() -> bytes:
    return logits_of(gemel.open(DATA, threads=1))


# ---- The plan --------------------------------------------------------------------------------------------------------


def test_tensors_come_in_the_order_of_need() -> None:
    names = [
        "token_embd.weight", "blk.0.a", "blk.1.a", "blk.10.a", "blk.11.a", "blk.2.a", "output.weight",
        "output_norm.weight", "rope_freqs.weight", "blk.3.a",
    ]
    size = plan.GAP + 1
    rows = [(name, size * i, size) for i, name in enumerate(names)]
    spans = layer_order(rows, [10 * size])
    order = [names[at // size] for start, end in spans for at in range(start, end, size)]
    assert order == [
        "token_embd.weight", "rope_freqs.weight", "blk.0.a", "blk.1.a", "blk.2.a", "blk.3.a", "blk.10.a", "blk.11.a",
        "output.weight", "output_norm.weight",
    ]
    assert (size, 3 * size) in spans   # neighbours are one span


def test_padding_is_read_along_and_long_gaps_and_other_parts_are_not() -> None:
    rows = [("blk.0.a", 0, 10), ("blk.0.b", 32, 10), ("blk.0.c", 42 + plan.GAP + 1, 10)]
    assert layer_order(rows, [1 << 20]) == [(0, 42), (42 + plan.GAP + 1, 52 + plan.GAP + 1)]
    assert layer_order(rows[:2], [20, 50]) == [(0, 10), (32, 42)]


def test_odd_names_of_layers_are_no_crash() -> None:
    for name in ("blk.", "blk.x.a", "blk.-1.a", "blk.99999999999999999999.a", "", "blk.007.a", "blk.²."):
        assert -1 <= plan.need(name) <= plan.LAST


def test_pieces_cover_spans_exactly() -> None:
    spans = [(5, 50), (100, 101), (60, 60)]
    got = list(pieces(spans, 7))
    assert [at for start, end in got for at in range(start, end)] == [*range(5, 50), 100]
    assert max(end - start for start, end in got) == 7


@pytest.mark.parametrize("size", [1, 1 << 18, (1 << 26) + 1, 98362432, 1 << 32, 1 << 40])
def test_blocks_are_powers_of_two_within_limits(size: int) -> None:
    block = block_size(size)
    assert block.bit_count() == 1
    assert plan.BLOCK_MIN <= block <= plan.BLOCK_MAX
    assert block == plan.BLOCK_MAX or -(-size // block) <= 256


def test_blocks_of_spans_come_first_and_once() -> None:
    size = 3 << 18
    parts = [size + 1, size]
    first = blocks([(size + 1 + (1 << 18), size + 2 + (1 << 18)), (0, 1), (1, 2 << 18)], parts, rest=False)
    assert first == [(1, 1), (0, 0), (0, 1)]
    everything = blocks([(0, 1)], parts, rest=True)
    assert sorted(everything) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)]


# ---- Bytes in any order ----------------------------------------------------------------------------------------------


class Blocks:
    """Arrivals as a download's: blocks of `size` bytes, each once, `order` obeyed or (shuffled) not."""

    repeats = False
    ready = False

    def __init__(self, parts: Sequence[bytes], size: int, shuffle: random.Random | None = None) -> None:
        self.name = "<blocks>"
        self.sizes = tuple(map(len, parts))
        self.given: list[Span] = []
        self._starts = [0, *accumulate(self.sizes)]
        self._data = b"".join(parts)
        self._size = size
        self._shuffle = shuffle
        self._queue = self._cut([(0, self.sizes[0])])
        self.closed = False

    def order(self, spans: Sequence[Span], *, final: bool) -> None:
        wanted = self._cut(spans)
        if final:
            wanted += self._cut(list(zip(self._starts, self._starts[1:], strict=False)))
            if self._shuffle:
                self._shuffle.shuffle(wanted)
        self._queue = [span for span in dict.fromkeys(wanted) if span not in self.given]

    def _cut(self, spans: Sequence[Span]) -> list[Span]:
        cut = []
        for start, end in spans:
            part = max(i for i, at in enumerate(self._starts[:-1]) if at <= start)
            base, stop = self._starts[part], self._starts[part + 1]
            first = base + (start - base) // self._size * self._size
            cut += [(at, min(at + self._size, stop)) for at in range(first, end, self._size)]
        return cut

    async def next(self) -> tuple[int, memoryview]:
        span = self._queue.pop(0)
        self.given.append(span)
        return span[0], memoryview(bytearray(self._data[slice(*span)]))

    async def yield_turn(self) -> None:
        pass

    async def end(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def open_blocks(arrivals: Blocks, prompt: object = None) -> gemel.Model:
    return at_once(load_model(load(), arrivals, 1, None, on_progress=None, prompt=prompt))   # type: ignore[arg-type]


@pytest.mark.parametrize("size", [100, 4096, 10_000, 1 << 20])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_blocks_in_any_order_give_the_same_model(size: int, seed: int | None, logits: bytes) -> None:
    arrivals = Blocks([DATA], size, None if seed is None else random.Random(seed))
    assert logits_of(open_blocks(arrivals)) == logits
    assert arrivals.closed


@pytest.mark.parametrize("n_parts", [2, 5])
def test_blocks_of_parts_in_any_order_give_the_same_model(n_parts: int, logits: bytes) -> None:
    parts = tiny.tiny_split(n_parts=n_parts, **FIELDS)
    for seed in (None, 3):
        arrivals = Blocks(parts, 3000, None if seed is None else random.Random(seed))
        assert logits_of(open_blocks(arrivals)) == logits


def test_a_block_waits_only_for_what_comes_before_it() -> None:
    fed: list[tuple[int, bytes]] = []
    rows = [("a", 10, 20), ("b", 30, 5), ("c", 40, 20)]
    arrival = piece_order.PieceOrder(rows, lambda offset, data: fed.append((offset, bytes(data))))
    data = bytes(range(100))

    def take(start: int, end: int) -> list[tuple[int, bytes]]:
        fed.clear()
        piece = bytearray(data[start:end])
        arrival.take(start, memoryview(piece))
        piece[:] = bytes(len(piece))   # what is kept is a copy
        return list(fed)

    assert take(20, 45) == [(30, data[30:45])]          # a's tail waits, b and c's head go on together
    assert arrival.left == 45 - 10
    assert take(55, 100) == []
    assert take(45, 50) == [(45, data[45:50])]
    assert take(0, 20) == [(10, data[10:20]), (20, data[20:30])]
    assert take(20, 45) == []                            # again: nothing is fed twice
    assert take(50, 55) == [(50, data[50:55]), (55, data[55:60])]
    assert arrival.left == 0


@pytest.mark.parametrize("seed", range(30))
def test_tensors_that_come_again_among_others_are_fed_once(seed: int) -> None:
    chance, data, got = random.Random(seed), bytes(range(200)), bytearray(200)
    ends = sorted(chance.sample(range(1, 200), 9))
    rows = [(str(end), start, end - start) for start, end in zip([0, *ends], ends, strict=False)]
    fed: dict[int, int] = {start: start for _, start, _ in rows}

    def feed(offset: int, piece: memoryview) -> None:
        for start, end in zip([0, *ends], ends, strict=False):
            at, stop = max(start, offset), min(end, offset + len(piece))
            if at < stop:
                assert fed[start] == at   # in order, and none twice
                fed[start] = stop
        got[offset : offset + len(piece)] = piece

    arrival = piece_order.PieceOrder(rows, feed)
    while arrival.left:
        start, end = sorted(chance.sample([0, *ends, *range(0, 200, 40)], 2))
        arrival.take(start, memoryview(data)[start:end])
    assert got[: ends[-1]] == data[: ends[-1]]


def test_a_tensor_that_lies_among_those_of_a_later_layer_is_fed_once() -> None:
    fields: dict[str, Any] = {"n_layer": 6, "n_embd": 64, "n_ff": 128, "format": "F32"}
    pairs, tensors = tiny.described(tiny.TinyModel(**fields))
    names = [tensor.name for tensor in tensors]
    tensors.insert(names.index("blk.5.ffn_gate.weight"), tensors.pop(names.index("blk.0.attn_norm.weight")))
    mixed = tiny.write_gguf(None, pairs, tensors)
    with gemel.open(tiny.tiny_llama(**fields), threads=1) as plain, plain.session() as session:
        session.sync(IDS)
        expected = bytes(session.logits())
    assert logits_of(gemel.open(mixed, threads=1)) == expected


def test_a_file_that_is_cut_is_an_error_that_closes_everything() -> None:
    arrivals = Blocks([DATA[:-400]], 4096)
    with pytest.raises(gemel.FormatError):
        open_blocks(arrivals)
    assert arrivals.closed


# ---- Split files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.tiny_split(tmp_path, n_parts=3, **FIELDS)
    return tmp_path


@pytest.mark.parametrize("no", [1, 2, 3])
def test_any_part_of_a_split_model_names_it(folder: Path, no: int, logits: bytes) -> None:
    path = folder / f"tiny-{no:05}-of-00003.gguf"
    assert logits_of(gemel.open(path)) == logits
    assert logits_of(asyncio.run(gemel.open_async(str(path), prompt=IDS))) == logits
    with gemel.inspect(path) as gguf:
        assert gguf.size == sum(file.stat().st_size for file in folder.iterdir())
        assert len(gguf.tensors) == len(gemel.inspect(DATA).tensors)


def test_a_missing_part_is_named(folder: Path) -> None:
    (folder / "tiny-00002-of-00003.gguf").unlink()
    with pytest.raises(gemel.SourceError, match=r"tiny-00002-of-00003.gguf'.* split into 3 files"):
        gemel.open(folder / "tiny-00001-of-00003.gguf")


def test_an_empty_part_is_a_format_error(folder: Path) -> None:
    (folder / "tiny-00003-of-00003.gguf").write_bytes(b"")
    with pytest.raises(gemel.FormatError, match="empty"):
        gemel.open(folder / "tiny-00001-of-00003.gguf")


def test_a_part_that_ends_within_its_header_is_a_format_error(folder: Path) -> None:
    (folder / "tiny-00002-of-00003.gguf").write_bytes((folder / "tiny-00002-of-00003.gguf").read_bytes()[:60])
    with pytest.raises(gemel.FormatError):
        gemel.open(folder / "tiny-00001-of-00003.gguf")


@pytest.mark.parametrize(
    "name", ["x.gguf", "x-00001-of-00001.gguf.txt", "x-00000-of-00003.gguf", "x-00004-of-00003.gguf", "x-1-of-3.gguf"]
)
def test_other_names_are_one_file(name: str) -> None:
    assert part_names(name) == [name]


def test_part_names_of_addresses_keep_what_follows() -> None:
    assert part_names("https://h/a-00002-of-00002.GGUF?x=1") == [
        "https://h/a-00001-of-00002.GGUF?x=1", "https://h/a-00002-of-00002.GGUF?x=1",
    ]


# ---- A prompt that rides along ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["the quick brown fox", IDS, [{"role": "user", "content": "hello"}]])
def test_a_prompt_evaluated_while_loading_gives_the_same_text(prompt: str | list[int] | list[dict[str, str]]) -> None:
    def text(model: gemel.Model) -> str:
        with model:
            if isinstance(prompt[0], dict):
                return model.chat().send("hello", max_tokens=8, temperature=0).read()
            return model.generate(prompt, max_tokens=8, temperature=0).read()   # type: ignore[arg-type]

    plain = text(gemel.open(DATA))
    assert text(gemel.open(DATA, prompt=prompt)) == plain
    assert text(asyncio.run(gemel.open_async(DATA, prompt=prompt))) == plain


def test_layers_are_evaluated_before_the_last_byte(logits: bytes) -> None:
    seen: list[tuple[str, int, int]] = []
    model = gemel.open(tiny_bytes(**FIELDS, n_embd=256, n_ff=512), prompt=IDS, on_progress=lambda *s: seen.append(s))
    model.close()
    assert [step for step in seen if step[0] == "prefill"][-1] == ("prefill", 12, 12)
    arrivals = Blocks([DATA], 4096)
    with open_blocks(arrivals, IDS) as model:
        assert model._preloaded is not None
        assert model._preloaded.ids == IDS
        assert bytes(model._preloaded.logits()) == logits


def test_a_model_that_is_dropped_frees_what_was_evaluated_ahead() -> None:
    gc.disable()   # by its references alone
    try:
        model = gemel.open(DATA, prompt=IDS)
        assert model._preloaded is not None
        model_seen, session_seen = weakref.ref(model), weakref.ref(model._preloaded)
        del model
        assert model_seen() is None
        assert session_seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("prompt", "kind"), [
    ("", gemel.ArgumentError), ([], gemel.ArgumentError), ([10**12], gemel.ArgumentError), ([-1], gemel.ArgumentError),
    ([1] * 5000, gemel.ContextError), ([1, {"role": "user"}], gemel.ArgumentError),
])  # fmt: skip
def test_wrong_prompts_end_the_loading(prompt: str | list[int], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        gemel.open(DATA, prompt=prompt)


def test_messages_without_a_template_are_an_error() -> None:
    with pytest.raises(gemel.TemplateError):
        gemel.open(tiny_bytes(), prompt=[{"role": "user", "content": "x"}])


def test_a_cancelled_load_closes_what_it_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(DATA)
    closed: list[bool] = []

    class Watched(local.LocalPieces):
        def close(self) -> None:
            closed.append(True)
            super().close()

    async def main() -> None:
        arrivals = Watched(sources.resolve(path), yields=True)
        task = asyncio.create_task(load_model(load(), arrivals, 1, None, on_progress=None, prompt=IDS))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert closed


# ---- cache=False -----------------------------------------------------------------------------------------------------


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def test_what_is_not_to_be_cached_is_gone_after_loading(
    temporary: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, logits: bytes
) -> None:
    from gemel.source import download

    class Fake(download.Download):
        def run(self, size: int | None) -> None:
            self.part.write_bytes(DATA)

    monkeypatch.setattr(download, "Download", Fake)
    assert logits_of(gemel.open("https://example.org/x.gguf", cache=False)) == logits
    assert list(temporary.iterdir()) == []
    assert gemel.cache.list() == []
    assert logits_of(gemel.open("https://example.org/x.gguf")) == logits
    assert len(gemel.cache.list()) == 1
