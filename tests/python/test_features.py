"""The tab's parts that a desktop can check: the dot's cases, why there are no threads, assets that are missing."""

from __future__ import annotations

import asyncio
import struct

import building
import gemel
import pytest
from gemel.tab import assets, engine, features


def test_dot_cases_reach_the_edges_and_stay_exact() -> None:
    cases = features.dot_cases()
    pairs = set()
    for operands, result in cases:
        a, b = struct.unpack("<16b16b", operands[:32])[:16], struct.unpack("<16b", operands[16:32])
        pairs |= set(zip(a, b, strict=True))
        assert all(0 <= code <= 127 for code in b)
        for j in range(0, 16, 2):   # what an engine may keep in sixteen bits
            assert -(2**15) <= a[j] * b[j] + a[j + 1] * b[j + 1] < 2**15
        c, dots = struct.unpack("<4i", operands[32:48]), struct.unpack("<4i", result)
        assert [dot - start for dot, start in zip(dots, c, strict=True)] == [
            sum(x * y for x, y in zip(a[4 * j : 4 * j + 4], b[4 * j : 4 * j + 4], strict=True)) for j in range(4)
        ]
    assert {(-128, 127), (127, 127), (-1, 127), (-128, 0)} <= pairs


def test_a_desktop_has_no_threaded_engine_and_says_so() -> None:
    assert gemel.browser.engine_reason() == "the native library: this is not a browser"
    with pytest.raises(gemel.LibraryError, match="not a browser"):
        asyncio.run(gemel.browser.start())


def test_files_larger_than_memory_are_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "threads_refusal", lambda: "this host has no web workers, so there is one thread")
    with pytest.raises(gemel.OutOfMemoryError, match=r"5\.0 GB does not fit .* no web workers"):
        asyncio.run(engine.choose(5 * 10**9, None))
    assert asyncio.run(engine.choose(10**6, None)) == (None, "this host has no web workers, so there is one thread")


def test_a_size_past_all_memory_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "threads_refusal", lambda: "")
    monkeypatch.setattr(features, "has_memory64", lambda: True)
    monkeypatch.setattr(assets, "has", lambda name: True)
    with pytest.raises(gemel.OutOfMemoryError, match="16 GB at most"):
        asyncio.run(engine.choose(2**53, 2))


def test_a_missing_asset_is_a_library_error() -> None:
    with pytest.raises(gemel.LibraryError, match=r"no_such\.js.*reinstall"):
        assets.text("no_such.js")


def test_the_dots_that_are_timed_are_valid_modules() -> None:
    source = (
        "const [sums, pairs] = [process.argv[1], process.argv[2]].map((hexed) => new WebAssembly.Instance("
        "new WebAssembly.Module(Buffer.from(hexed, 'hex'))).exports.f); sums(3); pairs(3); console.log('done')"
    )
    modules = [features.timed_module(body).hex() for body in (features.SUMS, features.PAIRS)]
    done = building.execute([building.node(), "-e", source, *modules])
    assert (done.returncode, done.stdout.strip()) == (0, "done")
