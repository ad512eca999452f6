"""GGUF files through the package: what is read is what was written; what is malformed is a FormatError that says where.

The reader's details are checked in tests/c/check_gguf.c; here are whole files, up to a model that computes.
"""

import os
import re
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gemel
import numpy as np
import pytest
import tiny
import vocabulary
from gguf_file import read_gguf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def start_of_data(data: bytes) -> int:
    """Return where the data starts of a file whose table ends in the last layer's ffn_down."""
    end = data.index(b"ffn_down.weight") + len("ffn_down.weight") + 4 + 2 * 8 + 4 + 8
    return -(-end // 32) * 32


TINY = tiny.tiny_llama(n_layer=1, n_embd=32, n_head=2, n_head_kv=1, n_ff=32, n_ctx=64)
TEMPLATED = tiny.tiny_llama(n_layer=1, tokenizer="spm", rope="yarn", chat_template="{{ messages }}", n_ctx=64)
HEADERS = {data: start_of_data(data) for data in (TINY, TEMPLATED)}  # sizes
FILES = [pytest.param(TINY, id="bpe"), pytest.param(TEMPLATED, id="spm")]
SAYS_WHERE = re.compile(r'offset \d|bytes? \d|tensors? ["a-z]|key "|[a-z]+(\.[a-z0-9_]+)+')
REFUSALS = (gemel.FormatError, gemel.UnsupportedError)
FUZZING = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def use(data: bytes) -> None:
    """Open the model, with warnings or without, and run it: tokenise, evaluate, detokenise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gemel.ModelWarning)
        opened = gemel.open(data, threads=1)
    with opened as model:
        ids = model.tokenize("the tensors, 12", special=True) or [0]
        model.detokenize(ids)
        with model.session(n_ctx=min(4, model.n_ctx)) as session:
            session.sync(ids[: session.n_ctx])
            assert len(session.logits()) == model.n_vocab


def survive(data: bytes) -> str:
    """Use a damaged file; return what was said where it was refused."""
    try:
        use(data)
    except REFUSALS as error:
        return str(error)
    except gemel.NumericError:  # the weights are what was damaged
        pass
    return ""


def patched(data: bytes, changes: Sequence[tuple[int, int]]) -> bytes:
    out = bytearray(data)
    for at, value in changes:
        out[at] = value
    return bytes(out)


# ---- Reading ---------------------------------------------------------------------------------------------------------

VALUES: list[tuple[str, str, Any]] = [
    ("general.architecture", "string", "nothing"),
    ("u8", "u8", 255),
    ("i8", "i8", -128),
    ("u16", "u16", 65535),
    ("i16", "i16", -32768),
    ("u32", "u32", 2**32 - 1),
    ("i32", "i32", -(2**31)),
    ("f32", "f32", 0.5),
    ("f64", "f64", 1e300),
    ("u64", "u64", 2**53),
    ("i64", "i64", -(2**53)),
    ("yes", "bool", True),
    ("text", "string", "naïve 🙂\0\n"),
    ("empty", "string", ""),
    ("strings", "string[]", ["", "a", "ß" * 300]),
    ("flags", "bool[]", [True, False]),
    ("numbers", "i16[]", [-1, 2, 300]),
    ("nothing", "f32[]", []),
    ("a key with spaces and ünïcode", "u8", 1),
]


@pytest.mark.parametrize("version", [2, 3])
def test_every_value_type_reads_back(version: int) -> None:
    with gemel.inspect(tiny.write_gguf(None, VALUES, version=version)) as file:
        assert file.version == version
        assert dict(file.metadata) == {key: value for key, _, value in VALUES}
        assert list(file.metadata) == [key for key, _, _ in VALUES]
        assert file.tensors == []


@pytest.mark.parametrize("alignment", [8, 32, 4096])
def test_the_tensor_table_reads_back(alignment: int) -> None:
    tensors = [
        tiny.Tensor("a", "Q4_1", [64, 3], bytes(120)),
        tiny.Tensor("b", "F32", [1, 1, 1, 5], bytes(20)),
        tiny.Tensor("c", "IQ2_S", [256], bytes(82)),
    ]
    data = tiny.write_gguf(None, [], tensors, alignment=alignment)
    with gemel.inspect(data) as file:
        assert [(t.name, t.format, t.shape, t.size) for t in file.tensors] == [
            ("a", "Q4_1", (64, 3), 120),
            ("b", "F32", (1, 1, 1, 5), 20),
            ("c", "IQ2_S", (256,), 82),
        ]
        assert file.data_offset % alignment == 0
        ends = [file.data_offset, *(t.offset + t.size for t in file.tensors)]
        assert [t.offset for t in file.tensors] == [-(-end // alignment) * alignment for end in ends[:-1]]


def test_every_known_tensor_type_has_its_size() -> None:
    tensors = [tiny.Tensor(name, name, [block], bytes(size)) for name, (block, size) in tiny.BLOCKS.items()]
    with gemel.inspect(tiny.write_gguf(None, [], tensors)) as file:
        assert [(t.format, t.size) for t in file.tensors] == [(t.type, len(t.data)) for t in tensors]
        assert {t.format for t in file.tensors if t.computed} == set(tiny.COMPUTED)


def test_tensors_may_lie_in_any_order() -> None:
    tensors = [
        tiny.Tensor("late", "F32", [8], struct.pack("<8f", *range(8)), offset=32),
        tiny.Tensor("early", "F32", [8], bytes(32), offset=0),
    ]
    with gemel.inspect(tiny.write_gguf(None, [], tensors)) as file:
        assert [t.offset - file.data_offset for t in file.tensors] == [32, 0]


@pytest.mark.parametrize("data", FILES)
def test_tiny_models_work(data: bytes) -> None:
    with gemel.inspect(data) as file:
        assert file.data_offset == HEADERS[data]
    use(data)


# ---- Refusing --------------------------------------------------------------------------------------------------------

F32_ROW = bytes(32)
BAD: list[tuple[str, bytes, str]] = [
    ("empty", b"", "empty"),
    ("short", b"GGU", "offset 0"),
    ("other", b"PK\3\4" + bytes(100), "zip archive"),
    ("a_web_page", b"<!DOCTYPE html><html></html>", "web page"),
    ("a_git_lfs_pointer", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ("version_0", tiny.write_gguf(None, [], version=0), "offset 4.*version 0"),
    ("version_9", tiny.write_gguf(None, [], version=9), "offset 4.*version 9"),
    ("many_tensors", tiny.write_gguf(None, [], n_tensors=2**60), f"offset 8.*{2**60} tensors"),
    ("many_keys", tiny.write_gguf(None, [], n_kv=2**63), f"offset 8.*{2**63} keys"),
    ("one_key_too_many", tiny.write_gguf(None, [("a", "u8", 1)], n_kv=2), "offset"),
    ("no_key", tiny.write_gguf(None, [("", "u8", 1)]), "offset 24.*empty"),
    ("a_long_key", tiny.write_gguf(None, [("k" * 65536, "u8", 1)]), "65536 bytes; at most 65535"),
    ("a_nul_in_a_key", tiny.write_gguf(None, [("a\0b", "u8", 1)]), r'key "a\\x00b".*NUL'),
    (
        "a_control_character",
        tiny.write_gguf(None, [("a\x1b[2J", "bool", 1), ("b", 99, b"")]),
        'key "b": unknown value type 99',
    ),
    ("a_key_twice", tiny.write_gguf(None, [("k", "u8", 1), ("k", "u8", 1)]), 'key "k" appears twice'),
    ("a_value_type", tiny.write_gguf(None, [("k", 13, bytes(8))]), 'key "k": unknown value type 13'),
    ("a_boolean", tiny.write_gguf(None, [("k", 7, b"\2")]), 'key "k".*boolean'),
    ("an_endless_string", tiny.write_gguf(None, [("k", 8, struct.pack("<Q", 2**62))]), f'key "k".*{2**62} bytes'),
    ("an_endless_array", tiny.write_gguf(None, [("k", 9, struct.pack("<IQ", 4, 2**62))]), f'key "k".*{2**62} array'),
    ("a_nested_array", tiny.write_gguf(None, [("k", 9, struct.pack("<IQ", 9, 1))]), 'key "k".*array of arrays'),
    ("alignment_0", tiny.write_gguf(None, [("general.alignment", "u32", 0)]), "general.alignment.* 0"),
    ("alignment_12", tiny.write_gguf(None, [("general.alignment", "u32", 12)]), "general.alignment.* 12"),
    ("a_tensor_twice", tiny.write_gguf(None, [], [tiny.Tensor("x", 0, [8], F32_ROW)] * 2), 'tensor "x" appears twice'),
    ("no_dimensions", tiny.write_gguf(None, [], [tiny.Tensor("x", 0, [], F32_ROW)]), 'tensor "x": 0 dimensions'),
    ("5_dimensions", tiny.write_gguf(None, [], [tiny.Tensor("x", 0, [1] * 5, F32_ROW)]), 'tensor "x": 5 dimensions'),
    ("ne_0", tiny.write_gguf(None, [], [tiny.Tensor("x", 0, [8, 0], F32_ROW)]), r'tensor "x": ne\[1\] is 0'),
    ("ne_overflow", tiny.write_gguf(None, [], [tiny.Tensor("x", 0, [2**63, 4], F32_ROW)]), 'tensor "x".*64 bits'),
    ("half_a_block", tiny.write_gguf(None, [], [tiny.Tensor("x", "Q8_0", [33], bytes(68))]), 'tensor "x".*33.*Q8_0'),
    (
        "a_tensor_type",
        tiny.write_gguf(None, [], [tiny.Tensor("x", 4, [8], F32_ROW)]),
        'tensor "x": unknown tensor type 4',
    ),
    ("an_odd_offset", tiny.write_gguf(None, [], [tiny.Tensor("x", 0, [8], F32_ROW, offset=4)]), '"x".* 4 is not'),
    ("past_the_end", tiny.write_gguf(None, [], [tiny.Tensor("x", 0, [9], F32_ROW)]), 'truncated: tensor "x"'),
    ("far_past_it", tiny.write_gguf(None, [], [tiny.Tensor("x", 0, [8], F32_ROW, offset=2**62)]), 'tensor "x"'),
    (
        "an_overlap",
        tiny.write_gguf(None, [], [tiny.Tensor("x", 0, [16], bytes(64)), tiny.Tensor("y", 0, [8], F32_ROW, offset=32)]),
        'tensors "x".*"y".*overlap',
    ),
]


@pytest.mark.parametrize(("data", "words"), [pytest.param(*rest, id=name) for name, *rest in BAD])
def test_a_malformed_file_is_a_format_error_that_says_where(data: bytes, words: str) -> None:
    for call in (gemel.inspect, gemel.open):
        with pytest.raises(gemel.FormatError, match=words):
            call(data).close()


def replaced(data: dict[str, Any], name: str, value: float) -> bytes:
    """Return a tiny model's file whose float tensor `name` holds `value` alone."""
    plain = tiny.tiny_llama(**data)
    tensor = read_gguf(plain)[1][name]
    return plain.replace(tensor.data.tobytes(), np.full(tensor.shape, value, np.float32).tobytes(), 1)


UNFIT: list[tuple[str, bytes, str]] = [
    ("wide_heads", tiny.tiny_llama(n_embd=32, n_head=16, head_dim=64),
     "16 heads of length 64 are too large; in all they may have 16 times"),
    ("a_row_without_a_token", tiny.tiny_llama(kv=[vocabulary.bpe_vocabulary(320)[2]]), "tokenizer.ggml.token"),
    ("half_of_longrope", tiny.tiny_llama(rope="longrope", without={"rope_factors_long.weight"}), "rope_factors_long"),
    ("yarn_of_base_1", tiny.tiny_llama(rope="yarn", rope_base=1.0), "rope.freq_base is 1"),
    ("a_factor_of_0", replaced({"rope": "llama3"}, "rope_freqs.weight", 0.0), "RoPE factor 0 is 0"),
]


@pytest.mark.parametrize(("data", "words"), [pytest.param(*rest, id=name) for name, *rest in UNFIT])
def test_a_file_that_is_no_model_is_a_format_error_that_names_the_key_or_tensor(data: bytes, words: str) -> None:
    gemel.inspect(data)
    with pytest.raises(gemel.FormatError, match=words):
        gemel.open(data).close()


def test_a_key_past_the_range_of_f16_is_a_numeric_error() -> None:
    data = replaced({"biases": True, "format": "F32"}, "blk.0.attn_v.bias", 70000.0)
    with gemel.open(data) as model:
        with model.session(kv_type="f16") as session, pytest.raises(gemel.NumericError):
            session.append([1, 2, 3])
        with model.session(kv_type="q8_0") as session:
            session.append([1, 2, 3])


@pytest.mark.parametrize(("version", "words"), [(1, "version 1"), (0x03000000, "big-endian")])
def test_well_formed_files_that_are_not_read_are_unsupported(version: int, words: str) -> None:
    with pytest.raises(gemel.UnsupportedError, match=words):
        gemel.inspect(tiny.write_gguf(None, [], version=version))


def test_a_sparse_file_does_not_become_an_endless_header(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    tiny.write_gguf(path, [("k", 9, struct.pack("<IQ", 8, 2**36))], n_kv=1)
    try:
        os.truncate(path, 2**40)
    except OSError as error:
        pytest.skip(f"no sparse files here: {error}")
    with pytest.raises(gemel.FormatError, match=r'key "k".*256 MiB'):
        gemel.open(path)


# ---- Damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", FILES)
def test_a_file_cut_anywhere_is_a_format_error(data: bytes) -> None:
    end = HEADERS[data]
    for cut in (*range(1, 200), *range(200, end, 97), *range(end, len(data) - 32, 4999)):
        with pytest.raises(gemel.FormatError) as caught:
            gemel.open(data[:cut], threads=1).close()
        assert SAYS_WHERE.search(str(caught.value)), (cut, str(caught.value))


@pytest.mark.parametrize("data", FILES)
@FUZZING
@given(draw=st.data())
def test_damaged_headers_are_refused_or_work(data: bytes, draw: st.DataObject) -> None:
    place = st.integers(0, HEADERS[data] - 1)
    changes = draw.draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=3))
    said = survive(patched(data, changes))
    assert not said or SAYS_WHERE.search(said), said


@pytest.mark.parametrize("data", FILES)
@FUZZING
@given(draw=st.data())
def test_damaged_hyperparameters_are_refused_or_work(data: bytes, draw: st.DataObject) -> None:
    """Damage where it hurts: the numbers behind keys, between architecture and vocabulary, and the tensor table."""
    first, last = data.index(b"general.quantization_version"), data.index(b"tokenizer.ggml.tokens")
    table = data.index(b"token_embd.weight") - 8
    place = st.one_of(st.integers(first, last), st.integers(table, HEADERS[data] - 1))
    word = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1]))
    at = draw.draw(place)
    said = survive(data[:at] + struct.pack("<I", draw.draw(word)) + data[at + 4 :])
    assert not said or SAYS_WHERE.search(said), said


@FUZZING
@given(draw=st.data())
def test_damaged_weights_are_refused_or_work(draw: st.DataObject) -> None:
    place = st.integers(HEADERS[TINY], len(TINY) - 1)
    survive(patched(TINY, draw.draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=50))))


@FUZZING
@given(rest=st.binary(max_size=400), n_tensors=st.integers(0, 3), n_kv=st.integers(0, 3))
def test_noise_behind_a_good_start_is_a_format_error(rest: bytes, n_tensors: int, n_kv: int) -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_kv) + rest
    said = ""
    try:
        gemel.inspect(data).close()
    except gemel.FormatError as error:
        said = str(error)
    assert not said or SAYS_WHERE.search(said), said


@FUZZING
@given(data=st.binary(max_size=400))
def test_noise_is_a_format_error(data: bytes) -> None:
    with pytest.raises(REFUSALS):
        gemel.inspect(data)
