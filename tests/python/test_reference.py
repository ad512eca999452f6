"""reference.py is the oracle of the tests: held here against the core's formats, the gguf package and plain formulas.

test_golden.py holds the whole of it against transformers.
"""

import ctypes
import math
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import building
import gguf_file
import numpy as np
import numpy.typing as npt
import pytest
import reference
from building import imported
from gguf_file import F32, FORMATS, U8, Tensor
from reference import Rope, Scores

CORE = Path(__file__).parents[2] / "core_c"
TYPES = [pytest.param(type_, id=form.name) for type_, form in FORMATS.items()]
QUANTISED = [pytest.param(type_, id=form.name) for type_, form in FORMATS.items() if form.parts]


def random_blocks(type_: int, n: int, *, seed: int = 0) -> U8:
    return np.random.default_rng(seed).integers(0, 256, (n, FORMATS[type_].size), dtype=np.uint8)


def sane_matrix(type_: int, rows: int, n_in: int, *, seed: int = 0) -> Tensor:
    """Make a matrix of random codes whose scales are of everyday size."""
    form = FORMATS[type_]
    blocks = random_blocks(type_, rows * n_in // form.block, seed=seed)
    places = {10: (80, 82), 11: (108,), 14: (208,), 29: (), 34: (52,), 35: (64,), 39: (), 40: ()}
    scales = places.get(type_, (0, 2) if type_ in (3, 7, 12, 13) else (0,))
    for at in scales:
        blocks[:, at + 1] = 0x1C + (blocks[:, at + 1] & 0x83)  # an exponent of 2^-8..2^-7, any sign
    if type_ == 39:
        blocks[:, 0] = 118 + (blocks[:, 0] & 3)
    if type_ == 29:
        blocks[:, 55] = 0x10 | (blocks[:, 55] & 0x8F)
    return Tensor(type_, (rows, n_in), blocks.reshape(rows, -1))


def random_floats(*shape: int, seed: int = 0) -> F32:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_same_bits(a: F32, b: F32) -> None:
    same = (a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))
    assert same.all(), f"{(~same).sum()} of {same.size} differ, the first at {np.argmin(same)}"


# ---- Formats ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Build what formats need of the core."""
    compiler = shutil.which("cc")
    if compiler is None:
        building.lacking("there is no C compiler `cc`")
    out = tmp_path_factory.mktemp("formats") / "libformats.so"
    flags = ["-std=c11", "-O2", "-ffp-contract=off", "-fPIC", "-shared", f"-I{CORE / 'include'}"]
    sources = [str(path) for path in sorted((CORE / "src" / "quant").glob("*.c"))]
    subprocess.run([compiler, *flags, *sources, "-o", str(out)], check=True)
    library = ctypes.CDLL(str(out))
    library.gemel_format_name.restype = ctypes.c_char_p
    library.gemel_format_unpack.argtypes = [
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
        ctypes.c_size_t,
    ]
    return library


@pytest.mark.parametrize("type_", TYPES)
def test_core_unpacks_random_blocks_to_the_same_bits(core: ctypes.CDLL, type_: int) -> None:
    blocks = random_blocks(type_, 2000)
    n = len(blocks) * FORMATS[type_].block
    unpacked = np.empty(n, np.float32)
    raw = blocks.tobytes()
    assert core.gemel_format_unpack(type_, raw, len(raw), unpacked.ctypes.data, n) == 0
    with np.errstate(invalid="ignore", over="ignore"):
        assert_same_bits(gguf_file.dequantise(type_, raw, n), unpacked)


def test_core_computes_the_formats_that_are_described_here(core: ctypes.CDLL) -> None:
    assert [t for t in range(-1, 100) if core.gemel_format_computed(t)] == sorted(FORMATS)
    for type_, form in FORMATS.items():
        assert core.gemel_format_name(type_) == form.name.encode()
        assert core.gemel_format_block(type_) == form.block
        assert core.gemel_format_block_size(type_) == form.size


def test_core_sizes_types_as_the_gguf_package_does(core: ctypes.CDLL) -> None:
    gguf = imported("gguf")
    for type_, size in gguf.GGML_QUANT_SIZES.items():
        if type_.name == "Q8_1":  # the package counts two f32 where the format's struct has two f16
            size = (32, 36)
        assert core.gemel_format_name(int(type_)) == type_.name.encode()
        assert (core.gemel_format_block(int(type_)), core.gemel_format_block_size(int(type_))) == tuple(size)


@pytest.mark.parametrize("type_", [one for one in TYPES if one.id not in ("Q1_0", "Q2_0")])  # which it can't read
def test_dequantised_blocks_equal_the_gguf_packages(type_: int) -> None:
    gguf = imported("gguf")
    blocks = random_blocks(type_, 500)
    if FORMATS[type_].name == "MXFP4":
        blocks[:, 0] %= 255  # E8M0's NaN is a number there
    with np.errstate(invalid="ignore", over="ignore"):
        theirs = gguf.quants.dequantize(blocks.reshape(1, -1), gguf.GGMLQuantizationType(type_)).reshape(-1)
        ours = gguf_file.dequantise(type_, blocks, theirs.size)
    assert_same_bits(ours, theirs.astype(np.float32))


def test_dequantise_refuses_a_part_of_a_block() -> None:
    with pytest.raises(ValueError, match="Q4_0: 17 bytes are not 32 weights"):
        gguf_file.dequantise(2, bytes(17), 32)


# ---- Operations ------------------------------------------------------------------------------------------------------


def test_quantised_activations_are_within_half_a_step() -> None:
    x = random_floats(3, 64)
    codes, d = reference.quantise(x)
    back = codes * d[..., None]
    assert codes.shape == (3, 2, 32)
    assert np.abs(codes).max() == 127
    assert (np.abs(back.reshape(x.shape) - x) <= np.repeat(d, 32, axis=-1) * 0.5001).all()


def test_activations_round_half_to_even() -> None:
    x = np.zeros((1, 32), np.float32)
    x[0, :6] = [127, 0.5, 1.5, 2.5, -0.5, -1.5]
    assert reference.quantise(x)[0][0, 0, :6].tolist() == [127, 0, 2, 2, 0, -2]


def test_vanishing_activations_are_zero() -> None:
    assert not reference.quantise(np.full((1, 32), 9e-31, np.float32))[0].any()


@pytest.mark.parametrize("type_", QUANTISED)
def test_quantised_product_is_the_product_of_dequantised_factors(type_: int) -> None:
    tensor, x = sane_matrix(type_, 24, 512), random_floats(3, 512)
    codes, d = reference.quantise(x)
    rounded = (codes * d[..., None].astype(np.float64)).reshape(x.shape)
    exact = rounded @ tensor.floats().astype(np.float64).T
    got = reference.matmul(tensor, x)
    assert got.dtype == np.float32
    assert np.abs(got - exact).max() <= 1e-5 * np.abs(exact).max()


@pytest.mark.parametrize("type_", [0, 1, 30])
def test_float_product_adds_in_ascending_order(type_: int) -> None:
    tensor = sane_matrix(type_, 5, 48)
    x, weights = random_floats(2, 48), tensor.floats()
    if type_ == 0:
        weights = random_floats(5, 48, seed=2)
        tensor = Tensor(0, (5, 48), weights.view(np.uint8))
    wanted = np.zeros((2, 5), np.float32)
    for it in range(2):
        for ir in range(5):
            for k in range(48):
                wanted[it, ir] += weights[ir, k] * x[it, k]
    assert_same_bits(reference.matmul(tensor, x), wanted)


@pytest.mark.parametrize("n", [32, 40, 576])
def test_rmsnorm_divides_by_the_root_of_the_mean_square(n: int) -> None:
    x, w = random_floats(4, n), random_floats(n, seed=1)
    exact = x / np.sqrt((x.astype(np.float64) ** 2).mean(axis=-1, keepdims=True) + 1e-5) * w
    got = reference.rmsnorm(x, w, 1e-5)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, exact, rtol=1e-6)


@pytest.mark.parametrize("n", [32, 40, 576])
def test_layernorm_removes_the_mean_and_divides_by_the_deviation(n: int) -> None:
    x, w, b = random_floats(4, n) + np.float32(3), random_floats(n, seed=1), random_floats(n, seed=2)
    d = x - x.astype(np.float64).mean(axis=-1, keepdims=True)
    exact = d / np.sqrt((d**2).mean(axis=-1, keepdims=True) + 1e-5)
    got = reference.layernorm(x, w, b, 1e-5)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, exact * w + b, rtol=1e-5, atol=3e-6)
    np.testing.assert_allclose(reference.layernorm(x, None, None, 1e-5), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("neox", [False, True])
def test_rotated_products_depend_on_the_distance_alone(neox: bool) -> None:
    spec = Rope(n_rot=8, neox=neox)
    q, k = random_floats(1, 2, 12), random_floats(1, 2, 12, seed=1)

    def product(at_q: int, at_k: int) -> F32:
        return np.asarray((reference.rope(spec, q, [at_q]) * reference.rope(spec, k, [at_k])).sum(axis=-1))

    np.testing.assert_allclose(product(9, 4), product(105, 100), rtol=1e-4)
    assert_same_bits(reference.rope(spec, q, [0]), q)
    assert (reference.rope(spec, q, [7])[..., 8:] == q[..., 8:]).all()


def test_both_orders_of_pairs_turn_the_same_pairs() -> None:
    q = random_floats(3, 2, 8)
    paired = q.reshape(3, 2, 2, 4).swapaxes(2, 3).reshape(3, 2, 8)  # halves -> neighbours
    halves = reference.rope(Rope(n_rot=8, neox=True), q, range(3))
    neighbours = reference.rope(Rope(n_rot=8), paired, range(3))
    assert_same_bits(neighbours.reshape(3, 2, 4, 2).swapaxes(2, 3).reshape(3, 2, 8), halves)


def test_linear_scaling_slows_positions_down() -> None:
    slow = reference.rope_table(Rope(n_rot=8, kind="linear", factor=4.0), [20])
    np.testing.assert_array_equal(slow, reference.rope_table(Rope(n_rot=8), [5]))


def test_unknown_rope_scaling_is_an_error() -> None:
    with pytest.raises(ValueError, match="'dynamic'"):
        reference.rope_table(Rope(n_rot=8, kind="dynamic"), [0])


def test_attention_is_causal_and_grouped() -> None:
    q, k, v = random_floats(3, 4, 8), random_floats(5, 2, 8, seed=1), random_floats(5, 2, 8, seed=2)
    got = reference.attend(q, k, v)
    keys, values = k.astype(np.float16).astype(np.float64), v.astype(np.float16).astype(np.float64)
    for i in range(3):
        seen = 5 - 3 + i + 1
        for ih in range(4):
            weights = np.exp(keys[:seen, ih // 2] @ q[i, ih] / math.sqrt(8))
            np.testing.assert_allclose(got[i, ih], weights @ values[:seen, ih // 2] / weights.sum(), rtol=1e-5)


def plain_attention(q: F32, k: F32, v: F32, scores: Scores) -> npt.NDArray[np.float64]:
    """Write attention down in float64, one query after the other."""
    n, n_head, k_dim = q.shape
    out = np.zeros((n, n_head, v.shape[-1]))
    for i in range(n):
        own = len(k) - n + i
        length = own % scores.window + 1 if scores.chunked else scores.window or own + 1
        seen = np.arange(max(0, own + 1 - length), own + 1)
        for ih in range(n_head):
            one = ih * k.shape[1] // n_head
            score = k[seen, one].astype(np.float64) @ q[i, ih] * (scores.scale or 1 / math.sqrt(k_dim))
            if scores.cap:
                score = scores.cap * np.tanh(score / scores.cap)
            if scores.slopes:
                score += scores.slopes[ih] * (seen - own)
            weights = np.exp(score - score.max())
            out[i, ih] = weights @ v[seen, one].astype(np.float64) / weights.sum()
    return out


SCORES = {
    "scale": Scores(scale=0.5),
    "cap": Scores(cap=1.5),
    "slopes": Scores(slopes=(0.5, 0.25, 0.125, 2.0)),
    "window": Scores(window=20),
    "a window of one": Scores(window=1),
    "chunks": Scores(window=30, chunked=True),
    "a window of a block": Scores(window=64),
    "everything": Scores(scale=0.4, cap=1.0, slopes=(0.01, 0.02, 0.03, 0.04), window=70),
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_scaled_capped_biased_and_seen_through_windows(name: str) -> None:
    q, k = random_floats(70, 4, 40), random_floats(150, 2, 40, seed=1)
    v = random_floats(150, 2, 24, seed=2)
    exact = plain_attention(q, k, v, SCORES[name])
    np.testing.assert_allclose(reference.attend(q, k, v, SCORES[name], np.float32), exact, rtol=1e-4, atol=2e-6)
    assert np.abs(reference.attend_q8(q, k, v, SCORES[name]) - exact).max() < 0.03 * np.abs(exact).max()


@pytest.mark.parametrize("attend", [reference.attend, reference.attend_q8])
@pytest.mark.parametrize("window", [1, 5, 64, 100])
def test_what_lies_before_a_window_changes_no_bit(attend: Callable[..., F32], window: int) -> None:
    q, k, v = random_floats(1, 4, 40), random_floats(150, 2, 40, seed=1), random_floats(150, 2, 40, seed=2)
    got = attend(q, k, v, Scores(window=window))
    k[: 150 - window], v[: 150 - window] = 1000, -1000
    assert_same_bits(got, attend(q, k, v, Scores(window=window)))
    k[150 - window] = 2
    assert (got != attend(q, k, v, Scores(window=window))).any() or window == 1


def test_slopes_of_alibi_are_powers_of_two_and_those_between_for_other_counts() -> None:
    assert reference.alibi_slopes(8, 8.0) == tuple(2.0**-i for i in range(1, 9))
    assert reference.alibi_slopes(6, 8.0) == (2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3)
    assert reference.alibi_slopes(4, 2.0) == (2**-0.5, 2**-1, 2**-1.5, 2**-2)


def test_attention_over_q8_is_near_that_over_f16() -> None:
    q, k, v = random_floats(70, 4, 40), random_floats(150, 2, 40, seed=1), random_floats(150, 2, 40, seed=2)
    near, got = reference.attend(q, k, v), reference.attend_q8(q, k, v)
    assert 0 < np.abs(got - near).max() < 0.03 * np.abs(near).max()


def test_attention_over_q8_of_one_position_is_its_value() -> None:
    q, k, v = random_floats(1, 2, 32), random_floats(1, 1, 32, seed=1), random_floats(1, 1, 32, seed=2)
    got = reference.attend_q8(q, k, v)
    for ih in range(2):
        np.testing.assert_allclose(got[0, ih], v[0, 0], atol=np.abs(v).max() / 250)


def test_powers_of_two_are_near_numpys() -> None:
    x = np.linspace(-126, 0, 5001, dtype=np.float32)
    np.testing.assert_allclose(reference.exp2(x, 127), 127 * np.exp2(x.astype(np.float64)), rtol=4e-6)
    assert_same_bits(reference.exp2(np.array([-300, -1, 0], np.float32), 1), np.array([2**-126, 0.5, 1], np.float32))


def test_exponentials_are_near_numpys() -> None:
    x = np.linspace(-87, 88, 5001, dtype=np.float32)
    np.testing.assert_allclose(reference.exp(x), np.exp(x.astype(np.float64)), rtol=3e-7)
    assert reference.exp(np.zeros(1, np.float32))[0] == 1


@pytest.mark.parametrize("cap", [0.5, 4, 50])
def test_caps_are_hyperbolic_tangents(cap: float) -> None:
    s = np.linspace(-300, 300, 5001, dtype=np.float32)
    got = reference.capped(s, reference.Cap.of(cap))
    np.testing.assert_allclose(got, cap * np.tanh(s.astype(np.float64) / cap), rtol=1e-6, atol=cap * 3e-7)


def test_gelus_are_near_pythons() -> None:
    x = np.linspace(-12, 12, 5001, dtype=np.float32)
    exact = np.array([0.5 * one * math.erfc(-one / math.sqrt(2)) for one in x.astype(np.float64)])
    np.testing.assert_allclose(reference.gelu(x), exact, rtol=5e-7, atol=5e-7)
    cubic = math.sqrt(2 / math.pi) * (x + 0.044715 * x.astype(np.float64) ** 3)
    np.testing.assert_allclose(reference.gelu_tanh(x), 0.5 * x * (1 + np.tanh(cubic)), rtol=1e-6, atol=5e-7)
    np.testing.assert_allclose(reference.gelu(np.array([-90, 0, 90], np.float32)), [0, 0, 90], atol=1e-37)
    assert reference.gelu_tanh(np.zeros(1, np.float32))[0] == 0


def test_swiglu_survives_large_gates() -> None:
    gate, up = np.array([-200, -1, 0, 1, 200], np.float32), np.full(5, 2, np.float32)
    expected = [0, -2 / (1 + math.e), 0, 2 / (1 + 1 / math.e), 400]
    np.testing.assert_allclose(reference.swiglu(gate, up), expected, rtol=1e-6, atol=1e-35)


# ---- The model -------------------------------------------------------------------------------------------------------


def gguf_string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_bytes(metadata: dict[str, float | int | str], tensors: dict[str, F32]) -> bytes:
    """Write a GGUF file of float32 tensors: integers as uint32, floats as float32."""
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        out += gguf_string(key)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + gguf_string(value)
        else:
            out += struct.pack(
                "<If" if isinstance(value, float) else "<II", 6 if isinstance(value, float) else 4, value
            )
    data = b""
    for name, tensor in tensors.items():
        out += gguf_string(name) + struct.pack("<I", tensor.ndim)
        out += struct.pack(f"<{tensor.ndim}Q", *reversed(tensor.shape)) + struct.pack("<IQ", 0, len(data))
        data += tensor.tobytes() + bytes(-tensor.nbytes % 32)
    return out + bytes(-len(out) % 32) + data


def tiny_model(*, tied: bool) -> dict[str, F32]:
    def matrix(rows: int, n_in: int, seed: int) -> F32:
        return random_floats(rows, n_in, seed=seed) / np.float32(4)

    tensors = {"token_embd.weight": matrix(11, 32, 1), "output_norm.weight": np.ones(32, np.float32)}
    shapes: Sequence[tuple[str, int, int]] = [
        ("attn_q", 32, 32),
        ("attn_k", 16, 32),
        ("attn_v", 16, 32),
        ("attn_output", 32, 32),
        ("ffn_gate", 64, 32),
        ("ffn_up", 64, 32),
        ("ffn_down", 32, 64),
    ]
    for seed, (name, rows, n_in) in enumerate(shapes, 2):
        tensors[f"blk.0.{name}.weight"] = matrix(rows, n_in, seed)
    tensors["blk.0.attn_norm.weight"] = tensors["blk.0.ffn_norm.weight"] = np.ones(32, np.float32)
    if not tied:
        tensors["output.weight"] = tensors["token_embd.weight"].copy()
    return tensors


TINY: dict[str, float | int | str] = {
    "general.architecture": "llama",
    "llama.block_count": 1,
    "llama.context_length": 64,
    "llama.embedding_length": 32,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}


def test_a_tied_output_is_the_embedding() -> None:
    tied, own = (
        reference.Reference(gguf_bytes(TINY, tiny_model(tied=tied))).logits([1, 5, 3]) for tied in (True, False)
    )
    assert_same_bits(tied, own)


def test_logits_of_a_prefix_do_not_change_with_what_follows() -> None:
    model = reference.Reference(gguf_bytes(TINY, tiny_model(tied=True)))
    np.testing.assert_allclose(model.logits([4, 8, 2, 7])[:2], model.logits([4, 8]), rtol=1e-5, atol=1e-6)


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="'plamo'"):
        reference.Reference(gguf_bytes({**TINY, "general.architecture": "plamo"}, tiny_model(tied=True)))


def test_a_missing_key_is_named() -> None:
    metadata = {key: value for key, value in TINY.items() if not key.endswith("epsilon")}
    with pytest.raises(ValueError, match=r"llama\.attention\.layer_norm_rms_epsilon"):
        reference.Reference(gguf_bytes(metadata, tiny_model(tied=True)))
