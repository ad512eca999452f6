"""The core's sampler draws the ids of its readable twin, tests/sampling.py, and refuses what is out of range."""

from __future__ import annotations

import ctypes
import math
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import building
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sampling import Options, Sampler

SOURCES = Path(__file__).parents[2] / "core_c" / "src"
INCLUDE = Path(__file__).parents[2] / "core_c" / "include"
OPTION_IDS = {f.name: i for i, f in enumerate(fields(Options), 1)}  # gemel_sampler_option has the same order
ARGUMENT, NUMERIC, STATE = -1, -7, -8
# All that the sampler asks its tokenizer: a vocabulary of any size needs no file. The others are asked with a grammar.
TOKENIZER = """
#include "text/tokenizer.h"
struct tokenizer { int n_vocab; };
int tokenizer_n_vocab(const tokenizer *t) { return t->n_vocab; }
int tokenizer_kind(const tokenizer *t, int32_t id) { return 0; }
int tokenizer_is_eog(const tokenizer *t, int32_t id) { return 0; }
int tokenizer_drops_space(const tokenizer *t, int32_t id) { return 0; }
int tokenizer_piece(const tokenizer *t, int32_t id, int flags, char *text, size_t capacity) { return 0; }
"""


class CoreSampler:
    """core_c/src/sample/sampler.c through ctypes."""

    def __init__(self, library: ctypes.CDLL, n_vocab: int) -> None:
        self.library = library
        self.n_vocab = n_vocab
        self.tokenizer = ctypes.c_int(n_vocab)
        self.handle = ctypes.c_void_p()
        assert library.sampler_open(ctypes.byref(self.handle), ctypes.byref(self.tokenizer)) == 0

    def close(self) -> None:
        self.library.gemel_sampler_close(self.handle)

    def set(self, name: str, value: float) -> int:
        return int(self.library.gemel_sampler_set(self.handle, OPTION_IDS[name], value))

    def set_all(self, options: Options) -> None:
        for name in OPTION_IDS:
            value = getattr(options, name)
            assert (self.seed(value) if name == "seed" else self.set(name, value)) == 0

    def seed(self, seed: int) -> int:
        return int(self.library.gemel_sampler_seed(self.handle, seed & 0xFFFFFFFF, seed >> 32))

    def save(self) -> bytes:
        data = ctypes.create_string_buffer(self.library.gemel_sampler_save_size(self.handle))
        assert self.library.gemel_sampler_save(self.handle, data, len(data)) == 0
        return data.raw

    def restore(self, data: bytes) -> str:
        """Return the sentence of a refusal, "" where there is none."""
        err = ctypes.create_string_buffer(512)
        code = self.library.gemel_sampler_restore(self.handle, data, len(data), err, len(err))
        assert code == (STATE if err.value else 0)
        return err.value.decode()

    def bias(self, token: int, value: float) -> int:
        return int(self.library.gemel_sampler_bias(self.handle, token, value))

    def breaker(self, ids: Sequence[int]) -> int:
        return int(self.library.gemel_sampler_dry_breaker(self.handle, (ctypes.c_int32 * len(ids))(*ids), len(ids)))

    def accept(self, token: int) -> int:
        return int(self.library.gemel_sampler_accept(self.handle, token))

    def reset(self) -> int:
        return int(self.library.gemel_sampler_reset(self.handle))

    def sample(self, logits: Sequence[float]) -> int:
        assert len(logits) == self.n_vocab
        return int(self.library.gemel_sampler_sample(self.handle, (ctypes.c_float * len(logits))(*logits)))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if compiler is None:
        building.lacking("no C compiler is installed")
    folder = tmp_path_factory.mktemp("sampler")
    path, tokenizer = folder / "sampler.so", folder / "tokenizer.c"
    tokenizer.write_text(TOKENIZER)
    sample = ("sample/sampler", "sample/penalties", "sample/candidates")
    used = (
        "canon", "closing", "closing_lists", "endless", "forced", "mask", "matcher", "repeats", "seen", "shortest",
        "stacks", "text_tree", "unique", "witness",
    )  # fmt: skip
    names = (*sample, *(f"grammar/{name}" for name in used))
    names += ("text/unicode", "text/unicode_tables", "fmath", "errors")
    sources = [*(str(SOURCES / f"{name}.c") for name in names), str(tokenizer)]
    flags = ["-std=c11", "-O2", "-ffp-contract=off", "-fPIC", "-shared", f"-I{INCLUDE}", f"-I{SOURCES}"]
    subprocess.run([compiler, *flags, *sources, "-o", str(path)], check=True)
    loaded = ctypes.CDLL(str(path))
    handle = ctypes.c_void_p
    loaded.sampler_open.argtypes = [ctypes.POINTER(handle), ctypes.POINTER(ctypes.c_int)]
    loaded.gemel_sampler_seed.argtypes = [handle, ctypes.c_uint32, ctypes.c_uint32]
    loaded.gemel_sampler_save_size.argtypes = [handle]
    loaded.gemel_sampler_save_size.restype = ctypes.c_size_t
    loaded.gemel_sampler_save.argtypes = [handle, ctypes.c_char_p, ctypes.c_size_t]
    loaded.gemel_sampler_restore.argtypes = [handle, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    loaded.gemel_sampler_close.argtypes = [handle]
    loaded.gemel_sampler_close.restype = None
    loaded.gemel_sampler_set.argtypes = [handle, ctypes.c_int, ctypes.c_double]
    loaded.gemel_sampler_bias.argtypes = [handle, ctypes.c_int32, ctypes.c_float]
    loaded.gemel_sampler_dry_breaker.argtypes = [handle, ctypes.POINTER(ctypes.c_int32), ctypes.c_size_t]
    loaded.gemel_sampler_accept.argtypes = [handle, ctypes.c_int32]
    loaded.gemel_sampler_reset.argtypes = [handle]
    loaded.gemel_sampler_sample.argtypes = [handle, ctypes.POINTER(ctypes.c_float)]
    return loaded


@pytest.fixture
def open_sampler(library: ctypes.CDLL) -> Iterator[Callable[[int], CoreSampler]]:
    opened: list[CoreSampler] = []

    def open_one(n_vocab: int) -> CoreSampler:
        opened.append(CoreSampler(library, n_vocab))
        return opened[-1]

    yield open_one
    for sampler in opened:
        sampler.close()


# ---- Against the readable twin ----

# Thresholds are odd numbers, so that no sum of round logits lies exactly on one.
shares = st.integers(1, 999).map(lambda k: k / 1000 + 0.000123)


@st.composite
def some_options(draw: st.DrawFn) -> Options:
    """Draw options, each with an even chance of being neutral."""

    def maybe(neutral: float, values: st.SearchStrategy[float]) -> float:
        return draw(st.one_of(st.just(neutral), values))

    return Options(
        temperature=draw(st.one_of(st.just(0.0), st.floats(0.01, 3), st.floats(0.5, 1.2))),
        top_k=int(maybe(0, st.integers(1, 400))),
        top_p=maybe(1.0, shares),
        min_p=maybe(0.0, shares),
        typical_p=maybe(1.0, shares),
        repeat_penalty=maybe(1.0, st.floats(0.5, 2)),
        frequency_penalty=maybe(0.0, st.floats(-2, 2)),
        presence_penalty=maybe(0.0, st.floats(-2, 2)),
        penalty_last_n=draw(st.sampled_from([0, 1, 5, 64, 3000])),
        dry_multiplier=maybe(0.0, st.floats(0.1, 3)),
        dry_base=draw(st.floats(1, 4)),
        dry_allowed_length=draw(st.integers(1, 4)),
        dry_last_n=draw(st.sampled_from([0, 1, 7, 40, 1024, 3000])),
        xtc_probability=maybe(0.0, st.sampled_from([0.5, 1.0])),
        xtc_threshold=draw(st.floats(0, 0.5).map(lambda x: x * 0.99)),
        mirostat=draw(st.sampled_from([0, 0, 2])),
        mirostat_tau=draw(st.floats(0.1, 8)),
        mirostat_eta=draw(st.floats(0.01, 1)),
        seed=draw(st.integers(0, 2**64 - 1)),
    )


@st.composite
def some_logits(draw: st.DrawFn, n: int) -> list[float]:
    """Draw a row of floats, spread or in steps with many equal, some forbidden."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([0.0, 0.5, 3.0, 20.0, 1e37]))
    step = draw(st.sampled_from([0.0, 0.5]))
    forbidden = draw(st.sampled_from([0.0, 0.0, 0.3]))
    row = [chance.gauss(0, scale) for _ in range(n)]
    if step:
        row = [round(x / step) * step for x in row]
    row = [ctypes.c_float(-math.inf if chance.random() < forbidden else x).value for x in row]
    row[chance.randrange(n)] = 0.0
    return row


@pytest.mark.long
@given(data=st.data())
@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_ids_are_those_of_the_readable_twin(library: ctypes.CDLL, data: st.DataObject) -> None:
    n = data.draw(st.one_of(st.integers(1, 30), st.integers(100, 700)))
    options = data.draw(some_options())
    tokens = st.integers(0, min(n, 6) - 1)
    twin = Sampler(options)
    core = CoreSampler(library, n)
    try:
        core.set_all(options)
        for token, value in data.draw(st.dictionaries(tokens, st.sampled_from([-math.inf, -1.5, 0.25, 4.0]))).items():
            if n > 6:  # so that some id is left
                twin.bias[token] = value
                assert core.bias(token, value) == 0
        for ids in data.draw(st.lists(st.lists(tokens, min_size=1, max_size=3), max_size=3)):
            twin.breakers.append(ids)
            assert core.breaker(ids) == 0
        for token in data.draw(st.lists(tokens, max_size=60)):
            twin.accept(token)
            assert core.accept(token) == 0
        for _ in range(4):
            logits = data.draw(some_logits(n))
            if all(v == -math.inf for v in twin.penalised(list(logits))):
                assert core.sample(logits) == ARGUMENT
                return
            token = twin.sample(logits)
            assert core.sample(logits) == token
            twin.accept(token)
            assert core.accept(token) == 0
    finally:
        core.close()


# ---- Saved and restored ----


@st.composite
def all_options(draw: st.DrawFn) -> Options:
    """Draw options of which every one has an effect (mirostat takes the place of truncation)."""
    return Options(
        temperature=draw(st.floats(0.5, 2)),
        top_k=draw(st.integers(20, 200)),
        top_p=0.950123,
        min_p=0.010123,
        typical_p=0.900123,
        repeat_penalty=draw(st.floats(1.01, 1.5)),
        frequency_penalty=draw(st.floats(0.1, 1)),
        presence_penalty=draw(st.floats(-1, -0.1)),
        penalty_last_n=draw(st.integers(1, 40)),
        dry_multiplier=draw(st.floats(0.1, 2)),
        dry_base=draw(st.floats(1.1, 3)),
        dry_allowed_length=draw(st.integers(1, 3)),
        dry_last_n=draw(st.integers(1, 60)),
        xtc_probability=0.5,
        xtc_threshold=draw(st.floats(0.01, 0.3)),
        mirostat=draw(st.sampled_from([0, 2])),
        mirostat_tau=draw(st.floats(1, 5)),
        mirostat_eta=draw(st.floats(0.05, 0.5)),
        seed=draw(st.integers(0, 2**64 - 1)),
    )


def ready(library: ctypes.CDLL, n: int, twin: Sampler) -> CoreSampler:
    """Return a sampler with the twin's options, biases and breakers."""
    core = CoreSampler(library, n)
    core.set_all(twin.options)
    for token, value in twin.bias.items():
        assert core.bias(token, value) == 0
    for ids in twin.breakers:
        assert core.breaker(ids) == 0
    return core


@pytest.mark.long
@given(data=st.data())
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_restored_sampler_goes_on_as_the_twin_that_never_stopped(library: ctypes.CDLL, data: st.DataObject) -> None:
    n = data.draw(st.integers(30, 300))
    tokens = st.integers(0, 5)
    twin = Sampler(data.draw(st.one_of(all_options(), some_options())))
    twin.bias = {0: -math.inf, 3: 1.5, 7: 0.25}
    twin.breakers = data.draw(st.lists(st.lists(tokens, min_size=1, max_size=3), max_size=2))
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    rows = [[ctypes.c_float(chance.gauss(0, 2)).value for _ in range(n)] for _ in range(5)]
    core = ready(library, n, twin)
    try:
        for token in data.draw(st.lists(tokens, max_size=90)):
            twin.accept(token)
            assert core.accept(token) == 0
        for step in range(12):
            if step in (0, 3, 4, 9):  # another takes its place, of which some have a past
                saved = core.save()
                core.close()
                core = ready(library, n, twin)
                for token in data.draw(st.lists(tokens, max_size=5)):
                    assert core.sample(rows[0]) >= 0
                    assert core.accept(token) == 0
                assert core.restore(saved) == ""
                assert core.save() == saved
            token = twin.sample(rows[step % 5])
            assert core.sample(rows[step % 5]) == token
            twin.accept(token)
            assert core.accept(token) == 0
    finally:
        core.close()


@given(data=st.binary(max_size=200), flip=st.integers(0, 8 * 48 - 1), cut=st.integers(0, 300))
@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.long
def test_other_bytes_are_refused_and_leave_the_sampler_as_it_was(
    library: ctypes.CDLL, data: bytes, flip: int, cut: int
) -> None:
    core = CoreSampler(library, 50)
    try:
        core.set_all(Options(repeat_penalty=1.1))
        for token in range(50):
            core.accept(token)
        saved = core.save()
        damaged = bytearray(saved)
        damaged[flip // 8] ^= 1 << flip % 8
        for wrong in (data, saved + data, saved[: cut % len(saved)], bytes(damaged)):
            if wrong != saved:
                assert "saved sampler" in core.restore(wrong)
        assert core.save() == saved
    finally:
        core.close()


def spread_logits(n: int) -> list[float]:
    """Return n different floats in [-6, 6), the same on every machine."""
    return [((i * 2654435761) % 2**32 >> 8) * 2.0**-24 * 12 - 6 for i in range(n)]


GOLDEN: list[tuple[dict[str, float], list[int]]] = [
    ({}, [754, 165, 288, 364, 55, 898, 220, 809, 364, 631, 199, 487]),
    (
        {"top_k": 0, "top_p": 1, "min_p": 0, "temperature": 1},
        [749, 163, 288, 346, 42, 872, 220, 809, 343, 626, 205, 495],
    ),
    ({"top_k": 0, "typical_p": 0.5}, [749, 173, 283, 364, 42, 872, 220, 817, 359, 618, 220, 495]),
    (
        {"xtc_probability": 0.5, "top_k": 200, "temperature": 1.3},
        [160, 346, 872, 809, 626, 495, 521, 202, 495, 694, 76, 631],
    ),
    ({"mirostat": 2, "mirostat_tau": 3}, [987, 987, 288, 377, 144, 898, 288, 898, 377, 665, 288, 521]),
    (
        {"top_k": 2, "dry_multiplier": 0.02, "dry_allowed_length": 1},
        [987, 377, 377, 754, 377, 987, 754, 987, 377, 987, 377, 144],
    ),
    ({"temperature": 0, "repeat_penalty": 1.5}, [987, 377, 754, 144, 521, 898, 288, 665, 55, 432, 809, 199]),
]


@pytest.mark.parametrize(("changes", "wanted"), GOLDEN)
def test_a_seed_gives_these_ids_on_every_machine(
    open_sampler: Callable[[int], CoreSampler], changes: dict[str, float], wanted: list[int]
) -> None:
    logits = spread_logits(1000)
    core, twin = open_sampler(1000), Sampler(Options(seed=42, **changes))  # type: ignore[arg-type]
    assert core.set("seed", 42) == 0
    for name, value in changes.items():
        assert core.set(name, value) == 0
    for sampler in (core, twin):
        drawn = []
        for _ in range(12):
            drawn.append(sampler.sample(logits))
            sampler.accept(drawn[-1])
        assert drawn == wanted


# ---- The calling rules ----


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("temperature", [0, 0.5, 100], [-0.1]),
        ("top_k", [0, 1, 2**31 - 1], [-1, 0.5, 2**31]),
        ("top_p", [1e-9, 1], [0, -0.1, 1.1]),
        ("min_p", [0, 0.999], [1, -0.1]),
        ("typical_p", [1e-9, 1], [0, 1.1]),
        ("repeat_penalty", [0.1, 1, 9], [0, -1]),
        ("frequency_penalty", [-2, 0, 2], [-2.1, 2.1]),
        ("presence_penalty", [-2, 0, 2], [-2.1, 2.1]),
        ("penalty_last_n", [0, 64, 2**20], [-1, 1.5, 2**20 + 1]),
        ("dry_multiplier", [0, 0.8], [-0.1]),
        ("dry_base", [1, 1.75], [0.99]),
        ("dry_allowed_length", [1, 2**20], [0, 1.5, 2**20 + 1]),
        ("dry_last_n", [0, 2**20], [-1, 0.5, 2**20 + 1]),
        ("xtc_probability", [0, 1], [-0.1, 1.1]),
        ("xtc_threshold", [0, 0.5], [-0.1, 0.51]),
        ("mirostat", [0, 2], [1, 3, -1, 0.5]),
        ("mirostat_tau", [0.1], [0, -1]),
        ("mirostat_eta", [0.1], [0, -1]),
        ("seed", [0, 2**53], [-1, 0.5, 2**53 + 2]),
    ],
)
def test_a_value_out_of_range_is_an_error_and_changes_nothing(
    open_sampler: Callable[[int], CoreSampler], name: str, good: list[float], bad: list[float]
) -> None:
    sampler = open_sampler(10)
    for value in good:
        assert sampler.set(name, value) == 0
    for value in [*bad, math.nan, math.inf, -math.inf]:
        assert sampler.set(name, value) == ARGUMENT


def test_logits_that_are_no_numbers_are_an_error(open_sampler: Callable[[int], CoreSampler]) -> None:
    sampler = open_sampler(100)
    for place in (0, 50, 99):
        for value in (math.nan, math.inf):
            assert sampler.sample([0.0] * place + [value] + [0.0] * (99 - place)) == NUMERIC
    assert sampler.sample([-math.inf] * 100) == ARGUMENT
    assert sampler.sample([-math.inf] * 99 + [-3e38]) == 99


def test_reset_brings_back_the_state_after_the_options(open_sampler: Callable[[int], CoreSampler]) -> None:
    sampler = open_sampler(1000)
    for name, value in {"seed": 7, "mirostat": 2, "repeat_penalty": 1.2, "dry_multiplier": 1}.items():
        assert sampler.set(name, value) == 0
    runs = []
    for _ in range(2):
        drawn = []
        for _ in range(20):
            drawn.append(sampler.sample(spread_logits(1000)))
            sampler.accept(drawn[-1])
        runs.append(drawn)
        assert sampler.reset() == 0
    assert runs[0] == runs[1]
