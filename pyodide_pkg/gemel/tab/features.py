"""What this browser's WebAssembly and this page support, found out by trying.

Each answer is for the thread that asks. Relaxed SIMD's dots may be supported and yet give wrong results: they are
computed and compared. They may be slow: they are timed.
"""

from __future__ import annotations

import functools
import random
import struct
from collections.abc import Callable

# (func (drop (i8x16.splat (i32.const 0))))
SIMD = bytes.fromhex("0061736d01000000 010401600000 03020100 0a0901070041 00fd0f1a0b")
# Memory 0 of one page, shared, with 64-bit addresses.
SHARED_MEMORY64 = bytes.fromhex("0061736d01000000 050401070101")
# (memory (export "m") 1) (func (export "f") (param $at i32)): the 16 bytes at $at+48 become
# i32x4.relaxed_dot_i8x16_i7x16_add_s of those at $at, $at+16 and $at+32. An engine without it refuses the module.
DOT_START = "0061736d01000000 01050160017f00 03020100 0503010001 070902016d0200016600 00"
RELAXED_DOT = bytes.fromhex(DOT_START + "0a1f011d00 2000 2000fd000400 2000fd000410 2000fd000420 fd9302 fd0b0430 0b")
# The same by i16x8.relaxed_dot_i8x16_i7x16_s, i32x4.extadd_pairwise_i16x8_s and i32x4.add.
PAIRS_DOT = bytes.fromhex(
    DOT_START + "0a24012200 2000 2000fd000400 2000fd000410 fd9202 fd7e 2000fd000420 fdae01 fd0b0430 0b"
)
# The two dots that are timed, each with the same work of a kernel: four products added to 32-bit sums, and two products
# added to 16-bit ones. {0} is a sum's local, {x} that of the other operand.
SUMS, PAIRS = "20{x} 20{0} 20{0} fd9302 21{0}", "20{0} 20{x} 20{0} fd9202 fd8e01 21{0}"
CHAINS = 3      # independent sums, in locals 1 to CHAINS: few, so that every compiler keeps them in registers
TIMED = 40_000  # turns of a loop over four dots of each: a third of a millisecond
ROUNDS = 2000   # of the self-test: enough for a browser to compile the function with its optimising compiler


def in_worker() -> bool:
    """Tell whether this thread may wait: a web worker, rather than a page's main thread."""
    import js  # type: ignore[import-not-found]

    return hasattr(js, "WorkerGlobalScope") and not hasattr(js, "document")


def has_workers() -> bool:
    """Tell whether this host can start web workers."""
    import js

    return hasattr(js, "Worker") and hasattr(js, "Blob")


def is_isolated() -> bool:
    """Tell whether the page is cross-origin isolated, without which no browser shares memory."""
    import js

    return bool(getattr(js, "crossOriginIsolated", False))


def shares_memory() -> bool:
    """Tell whether threads may share memory here; WebKitGTK forbids it even on an isolated page."""
    import js

    return hasattr(js, "SharedArrayBuffer")


def has_simd() -> bool:
    return _validates(SIMD)


def has_memory64() -> bool:
    return _validates(SHARED_MEMORY64)


@functools.cache
def has_relaxed_simd() -> bool:
    """Tell whether relaxed dots exist and are exact for second operands of 0..127, which are all that gemel uses."""
    return all(_validates(dot) and _dot_is_exact(dot) for dot in (RELAXED_DOT, PAIRS_DOT))


@functools.cache
def has_fast_dot() -> bool:
    """Tell whether the dot of four products is fast, by timing: some CPUs lack it, and browsers make it of others."""
    import js
    from pyodide.ffi import to_js  # type: ignore[import-not-found]

    runs = [
        js.WebAssembly.Instance.new(js.WebAssembly.Module.new(to_js(timed_module(body)))).exports.f
        for body in (SUMS, PAIRS)
    ]
    sums, pairs = (min(times) for times in zip(*([_timed(run) for run in runs] for _ in range(6)), strict=True))
    return bool(sums <= 1.2 * pairs)   # 0.8 where the CPU has it, else 1.5 and more; true where the clock is too coarse


def flavour() -> str:
    """Return which build of the core this browser takes: "relaxed", "pairs", "simd128", or "" for none of them."""
    if has_relaxed_simd():
        return "relaxed" if has_fast_dot() else "pairs"
    return "simd128" if has_simd() else ""


def default_threads() -> int:
    """Return how many threads compute by default: the CPUs that the browser reports, at most 8.

    Browsers count hyper-threads and slow cores as CPUs; with more than 8, waiting for the slowest costs more than it
    gains.
    """
    import js

    cpus = int(getattr(js.navigator, "hardwareConcurrency", 1) or 1)
    return max(1, min(cpus, 8))


def _validates(module: bytes) -> bool:
    import js
    from pyodide.ffi import to_js

    return bool(js.WebAssembly.validate(to_js(module)))


def _timed(run: Callable[[int], None]) -> float:
    import js

    start = js.performance.now()
    run(TIMED)
    return float(js.performance.now() - start)


def timed_module(body: str) -> bytes:
    """Return a module whose function f(n) runs an instruction's text n times for each chain, four times."""
    chains = [body.format(f"{local:02x}", x=f"{CHAINS + 1:02x}") for local in range(1, CHAINS + 1)]
    loop = ["0340", *4 * chains, "2000 4101 6b 2200 0d00 0b"]   # until n is 0
    joined = ["4100 2001", *(f"20{local:02x} fd51" for local in range(2, CHAINS + 1)), "fd0b0400"]   # so they are used
    code = bytes.fromhex("".join([f"01{CHAINS + 1:02x}7b", f"4100 fd000400 21{CHAINS + 1:02x}", *loop, *joined, "0b"]))
    sections = [
        (1, "0160017f00"), (3, "0100"), (5, "010001"), (7, "0101660000"), (10, (b"\1" + _sized(code)).hex()),
    ]   # fmt: skip
    return b"\0asm\1\0\0\0" + b"".join(bytes([number]) + _sized(bytes.fromhex(hexed)) for number, hexed in sections)


def _sized(data: bytes) -> bytes:
    n = len(data)
    return bytes([n & 127 | 128, n >> 7]) + data   # LEB128 of two bytes


def _dot_is_exact(module: bytes) -> bool:
    """Compute random and extreme vectors and compare the results; again when the function was called often."""
    import js
    from pyodide.ffi import to_js

    exports = js.WebAssembly.Instance.new(js.WebAssembly.Module.new(to_js(module))).exports
    cases = dot_cases()
    memory = js.Uint8Array.new(exports.m.buffer, 0, 64 * len(cases))
    memory.assign(b"".join(operands + bytes(16) for operands, _ in cases))
    dot = exports.f
    wanted = b"".join(result for _, result in cases)
    for repeat in (1, ROUNDS // len(cases)):
        for _ in range(repeat):
            for i in range(len(cases)):
                dot(64 * i)
        done = memory.to_bytes()
        if b"".join(done[64 * i + 48 : 64 * i + 64] for i in range(len(cases))) != wanted:
            return False
    return True


def dot_cases() -> list[tuple[bytes, bytes]]:
    """Return (operands, their dot) of vectors at the limits and of random ones."""
    seeded = random.Random(7)
    edges = [(a, b, c) for a in (-128, -1, 0, 127) for b in (0, 1, 127) for c in (0, -(2**31) + 65536, 2**31 - 65537)]
    vectors = [([a] * 16, [b] * 16, [c] * 4) for a, b, c in edges]
    for _ in range(12):
        vectors.append(
            (
                [seeded.choice((-128, 127, seeded.randint(-128, 127))) for _ in range(16)],
                [seeded.choice((0, 127, seeded.randint(0, 127))) for _ in range(16)],
                [seeded.randint(-(2**30), 2**30) for _ in range(4)],
            )
        )
    cases = []
    for a, b, c in vectors:
        dot = [c[j] + sum(a[4 * j + k] * b[4 * j + k] for k in range(4)) for j in range(4)]
        cases.append((struct.pack("<16b16b4i", *a, *b, *c), struct.pack("<4i", *dot)))
    return cases
