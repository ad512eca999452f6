"""Split models: parts become one model, at virtual offsets; a wrong set of files is an error that says which."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from typing import Any

import gemel
import numpy as np
import pytest
import tiny
from conftest import tiny_bytes
from gemel._choice import load
from gemel.core import abi
from gemel.core.library import Handle, check, open_handle, pointer_at
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabulary import Pair

IDS = [1, *range(3, 40)]


class Parts:
    """A loader that is fed the parts of a model."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self.library, self.parts = load(), parts
        self.error = self.library.alloc(512)
        self.loader = open_handle(
            self.library, "gemel_loader_open", float(len(parts[0])), where="parts", error=self.error
        )

    def call(self, name: str, *arguments: Any) -> int:  # noqa: ANN401
        with self.loader as loader:
            code = self.library.call(name, loader, *arguments, self.error, self.error.size)
        return check(self.library, code, "parts", self.error)

    def feed(self, offset: int, data: bytes, size: int = 1 << 30) -> None:
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self.call("gemel_loader_feed", float(offset + at), self.library.lend(piece), len(piece))

    @property
    def n_parts(self) -> int:
        with self.loader as loader:
            return int(self.library.call("gemel_loader_n_parts", loader))

    @property
    def gguf(self) -> int:
        with self.loader as loader:
            return int(self.library.call("gemel_loader_gguf", loader) or 0)

    def headers(self, size: int = 1 << 30) -> None:
        """Feed each part until its header has been counted."""
        base = 0
        for number, part in enumerate(self.parts):
            if number:
                self.call("gemel_loader_part", float(len(part)))
            for at in range(0, len(part), size):
                self.feed(base + at, part[at : at + size])
                if self.n_parts > number:
                    break
            base += len(part)

    def open(self, size: int = 1 << 30) -> Handle:
        self.headers(size)
        self.call("gemel_loader_begin")
        self.feed(0, b"".join(self.parts), size)
        out = self.library.alloc(8)
        self.call("gemel_loader_finish", out)
        self.loader.close()
        return Handle(self.library, pointer_at(self.library, out), "gemel_model_close")


def model_of(parts: Sequence[bytes], size: int = 1 << 30) -> gemel.Model:
    return gemel.Model(load(), Parts(parts).open(size), "parts")


def logits(model: gemel.Model) -> bytes:
    with model, model.session() as session:
        session.append(IDS)
        return np.asarray(session.logits()).tobytes()


def refused(parts: Sequence[bytes]) -> str:
    """Open parts and return what the error says; the loader is closed and must not leak."""
    loading = Parts(parts)
    with pytest.raises(gemel.FormatError) as error:
        loading.open()
    loading.loader.close()
    return str(error.value)


def described(**fields: Any) -> tuple[list[Pair], list[tiny.Tensor]]:  # noqa: ANN401
    return tiny.described(tiny.TinyModel(**fields))


@pytest.mark.parametrize("n_parts", [1, 2, 3, 7, 50])
def test_parts_give_the_whole_files_logits(n_parts: int) -> None:
    with gemel.open(tiny_bytes()) as whole:
        n_tensors = len(whole.tensors)
        wanted = logits(whole)
    parts = tiny.tiny_split(n_parts=n_parts)
    assert len(parts) == n_parts
    model = model_of(parts, 1000)
    assert len(model.tensors) == n_tensors
    assert logits(model) == wanted


def test_offsets_are_virtual() -> None:
    parts = tiny.tiny_split(n_parts=3)
    whole, (_, tensors) = b"".join(parts), described()
    model = model_of(parts)
    assert [tensor.name for tensor in model.tensors] == [tensor.name for tensor in tensors]
    for found, tensor in zip(model.tensors, tensors, strict=True):
        assert whole[found.offset : found.offset + len(tensor.data)] == tensor.data
    model.close()


def test_a_first_part_may_hold_metadata_alone_and_parts_align_by_themselves() -> None:
    pairs, tensors = described()
    wanted = logits(gemel.open(tiny_bytes()))
    for alignment in (32, 4096):
        parts = tiny.write_split(None, pairs, tensors, [0, 5, len(tensors) - 5], alignment=alignment)
        assert logits(model_of(parts)) == wanted


def test_the_table_is_the_first_parts_until_all_are_here() -> None:
    parts = tiny.tiny_split(n_parts=2)
    loading = Parts(parts)
    assert (loading.n_parts, loading.gguf) == (0, 0)
    loading.feed(0, parts[0])
    n = loading.library.call("gemel_gguf_n_tensors", loading.gguf)
    assert loading.n_parts == 1
    loading.call("gemel_loader_part", float(len(parts[1])))
    loading.feed(len(parts[0]), parts[1][:100])
    assert loading.n_parts == 1
    assert loading.library.call("gemel_gguf_n_tensors", loading.gguf) == n
    loading.feed(len(parts[0]) + 100, parts[1][100:])
    assert loading.n_parts == 2
    assert loading.library.call("gemel_gguf_n_tensors", loading.gguf) == len(described()[1])
    loading.loader.close()


def test_merged_parts_are_a_whole_model() -> None:
    kv = [("split.no", "u16", 0), ("split.count", "u16", 0), ("split.tensors.count", "i32", 20)]
    assert logits(gemel.open(tiny_bytes(kv=kv))) == logits(gemel.open(tiny_bytes()))


def test_a_saved_session_belongs_to_its_parts() -> None:
    model, other = model_of(tiny.tiny_split(n_parts=2)), model_of(tiny.tiny_split(n_parts=3))
    with model, other, model.session() as session, other.session() as stranger:
        session.append(IDS)
        state = session.save()
        with pytest.raises(gemel.StateError):
            stranger.restore(state)


# ---- Wrong sets of files ---------------------------------------------------------------------------------------------


def test_missing_parts_are_counted() -> None:
    parts = tiny.tiny_split(n_parts=4)
    assert "split.count is 4), and 3 of its parts are missing, from part 2 on" in refused(parts[:1])
    assert "and 1 of its parts is missing, from part 4 on" in refused(parts[:3])
    with pytest.raises(gemel.FormatError, match="3 of its parts are missing"):
        gemel.open(parts[0])


def test_missing_parts_may_still_come() -> None:
    parts = tiny.tiny_split(n_parts=2)
    loading = Parts(parts)
    loading.feed(0, parts[0])
    with pytest.raises(gemel.FormatError):
        loading.call("gemel_loader_begin")
    loading.call("gemel_loader_part", float(len(parts[1])))
    loading.feed(len(parts[0]), parts[1])
    loading.call("gemel_loader_begin")
    loading.loader.close()


def test_a_later_part_alone_says_so() -> None:
    parts = tiny.tiny_split(n_parts=3)
    with pytest.raises(gemel.FormatError, match=r"this is part 2 of 3 of a split model \(split.no is 1\)"):
        gemel.open(parts[1])
    assert "this is part 3 of 3" in refused([parts[2], parts[1], parts[0]])
    with gemel.inspect(parts[1]) as header:   # a header is a header
        assert header.metadata["split.no"] == 1


def test_parts_come_in_order() -> None:
    a, b, c = tiny.tiny_split(n_parts=3)
    assert "part 2: split.no is 2, but 1 comes next" in refused([a, c, b])
    assert "part 3: split.no is 1, but 2 comes next" in refused([a, b, b])
    assert "part 2: split.no is 0, but 1 comes next" in refused([a, a, a])


def test_a_part_too_many() -> None:
    parts = tiny.tiny_split(n_parts=2)
    assert "this model has 2 parts (split.count): there is no part 3" in refused([*parts, parts[1]])
    assert "not split (split.count is missing or at most 1): it has no part 2" in refused([tiny_bytes(), parts[1]])


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({1: [("split.count", "u16", 3)]}, "part 2: split.count is 3, but 2 in the first part"),
        ({1: [("split.count", "u16", None)]}, "part 2: split.no is 1, which is not below split.count, 1"),
        ({1: [("split.no", "u16", None)]}, "part 2: the metadata key split.no is missing"),
        ({1: [("split.tensors.count", "i32", None)]}, "part 2: the metadata key split.tensors.count is missing"),
        ({1: [("split.tensors.count", "i32", 7)]}, "part 2: split.tensors.count is 7, but"),
        ({1: [("split.no", "string", "1")]}, 'part 2: key "split.no" is of type STRING'),
        ({1: [("split.no", "i32", -1)]}, 'part 2: key "split.no" is -1'),
        ({0: [("split.tensors.count", "i32", None)]}, "the metadata key split.tensors.count is missing"),
        ({0: [("split.no", "u16", None)]}, "the metadata key split.no is missing"),
        ({0: [("split.count", "u32", 70000)]}, "split.count is 70000; at most 65535 parts are supported"),
        ({0: [("split.count", "u32[]", [2])]}, 'key "split.count" is an array'),
        ({n: [("split.tensors.count", "i32", 3)] for n in (0, 1)}, "split.tensors.count is 3"),
        ({n: [("split.tensors.count", "i32", 300)] for n in (0, 1)}, "split.tensors.count is 300"),
        ({1: [("general.alignment", "u32", 12)]}, 'part 2: key "general.alignment" is 12'),
    ],
)  # fmt: skip
def test_keys_that_contradict_each_other(keys: dict[int, list[Pair]], sentence: str) -> None:
    pairs, tensors = described()
    assert sentence in refused(tiny.write_split(None, pairs, tensors, [4, len(tensors) - 4], keys=keys))


def test_a_tensor_in_two_parts_is_named_with_both() -> None:
    pairs, tensors = described()
    doubled = [*tensors[:-1], tensors[0]]
    parts = tiny.write_split(None, pairs, doubled, [2, 3, len(tensors) - 5])
    assert f'tensor "{tensors[0].name!s}" appears twice, in part 1 and in part 3' in refused(parts)


def test_a_tensor_past_its_own_part_is_refused() -> None:
    pairs, tensors = described()
    parts = tiny.write_split(None, pairs, tensors, [3, 3, len(tensors) - 6])
    parts[1] = parts[1][:-64]
    assert "part 2: the file is truncated" in refused(parts)


def test_a_damaged_header_names_its_part_and_is_refused_again() -> None:
    parts = tiny.tiny_split(n_parts=2)
    loading = Parts(parts)
    loading.feed(0, parts[0])
    loading.call("gemel_loader_part", float(len(parts[1])))
    with pytest.raises(gemel.FormatError, match="part 2: at offset 0: not a GGUF file"):
        loading.feed(len(parts[0]), b"GGML" + parts[1][4:])
    with pytest.raises(gemel.ArgumentError):
        loading.feed(len(parts[0]) + 4, parts[1][4:])
    with pytest.raises(gemel.ArgumentError):
        loading.call("gemel_loader_begin")
    loading.loader.close()


def test_parts_are_refused_out_of_turn() -> None:
    parts = tiny.tiny_split(n_parts=2)
    loading = Parts(parts)
    for size in (float(len(parts[1])), -1.0):
        with pytest.raises(gemel.ArgumentError):   # the first header is not whole
            loading.call("gemel_loader_part", size)
    loading.feed(0, parts[0])
    for size in (-1.0, 0.5, float("nan"), 2.0**53, float("inf")):
        with pytest.raises(gemel.ArgumentError):
            loading.call("gemel_loader_part", size)
    with pytest.raises(gemel.FormatError, match="part 2: at offset 0: the file is empty"):
        loading.call("gemel_loader_part", 0.0)
    loading.call("gemel_loader_part", float(len(parts[1])))
    with pytest.raises(gemel.ArgumentError):
        loading.call("gemel_loader_part", float(len(parts[1])))
    with pytest.raises(gemel.ArgumentError, match=f"offset {len(parts[0])} was expected, not 0"):
        loading.feed(0, parts[1])
    loading.feed(len(parts[0]), parts[1])
    loading.call("gemel_loader_begin")
    with pytest.raises(gemel.ArgumentError):
        loading.call("gemel_loader_part", float(len(parts[1])))
    loading.loader.close()


@settings(deadline=None)
@given(st.data())
def test_damaged_parts_never_do_more_than_fail(data: st.DataObject) -> None:
    """Bytes of headers are changed, parts cut, swapped, repeated: a model or an exception."""
    parts = list(tiny.tiny_split(n_parts=3, n_layer=1))
    for _ in range(data.draw(st.integers(1, 3))):
        which = data.draw(st.integers(0, len(parts) - 1))
        kind = data.draw(st.sampled_from(["byte", "count", "cut", "swap", "repeat"]))
        if kind == "byte":
            raw = bytearray(parts[which])
            at = data.draw(st.integers(0, min(len(raw), 12000) - 1))
            raw[at] ^= data.draw(st.integers(1, 255))
            parts[which] = bytes(raw)
        elif kind == "count":   # a number right after its key
            key = data.draw(st.sampled_from([b"split.no", b"split.count", b"split.tensors.count"]))
            at = parts[which].find(key)
            if at >= 0:
                at += len(key) + 4
                number = struct.pack("<H", data.draw(st.integers(0, 65535)))
                parts[which] = parts[which][:at] + number + parts[which][at + 2 :]
        elif kind == "cut":
            parts[which] = parts[which][: data.draw(st.integers(1, len(parts[which])))]
        elif kind == "swap":
            parts[which], parts[0] = parts[0], parts[which]
        else:
            parts.insert(which, parts[which])
    with contextlib.suppress(gemel.GemelError):
        loading = Parts(parts)
        with contextlib.closing(loading.loader):
            loading.open().close()


def test_the_loader_takes_options_between_parts() -> None:
    parts = tiny.tiny_split(n_parts=2)
    loading = Parts(parts)
    loading.headers()
    with loading.loader as loader:
        assert loading.library.call("gemel_loader_set", loader, abi.LOADER_N_THREADS, 2) == 0
    loading.call("gemel_loader_begin")
    loading.loader.close()
