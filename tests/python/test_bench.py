"""Measuring: what is run, in which order, and what is said of it. Not how quick it is."""

from __future__ import annotations

from pathlib import Path

import gemel
import pytest
from command import assert_error, gemel_
from conftest import CHATML, tiny_bytes
from gemel_native import bench

ROW = {"test", "n", "depth", "threads", "isa", "tok_s", "min", "max", "reps"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    return path


def test_json_has_a_row_for_every_configuration(file: Path) -> None:
    arguments = ["-p", "20", "-n", "5", "-d", "0,30", "-t", "1,2", "--isa", "scalar", "--reps", "2", "--json"]
    result = gemel_("bench", file, *arguments).json
    assert set(result) == {"machine", "model", "kv_type", "rows", "load_s", "peak_rss_mb"}
    found = [(row["test"], row["n"], row["depth"], row["threads"], row["isa"]) for row in result["rows"]]
    assert found == [
        (test, n, depth, threads, "scalar")
        for test, n in (("prefill", 20), ("decode", 5))
        for depth in (0, 30)
        for threads in (1, 2)
    ]
    for row in result["rows"]:
        assert set(row) == ROW
        assert 0 < row["min"] <= row["tok_s"] <= row["max"]
        assert row["reps"] == 2
    assert result["load_s"] > 0
    assert result["kv_type"] == "q8_0"
    assert result["machine"]["cpu"]
    assert result["model"]["name"] == str(file)


def test_table_is_for_people(file: Path) -> None:
    done = gemel_("bench", file, "-p", "8", "-n", "0", "-t", "1", "--reps", "1")
    assert (done.code, done.err) == (0, "")
    assert "prefill" in done.out
    assert "decode" not in done.out
    assert "tok/s" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "x"], ["--prefill", "'x'"]),
        (["-p", "-5"], ["--prefill", "'-5'"]),
        (["-n", "1,,2"], ["--decode", "''"]),
        (["-p", "0", "-n", "0"], ["--prefill 0", "--decode 0"]),
        (["-t", "0"], ["--threads", "1 to 256"]),
        (["-t", "2,2"], ["--threads", "twice"]),
        (["-d", "500"], ["--prefill 512", "--depth 500", "512"]),
        (["-p", "0", "-n", "512"], ["--decode 512", "513"]),
        (["--isa", "scalar,sse9"], ["--isa sse9", "scalar"]),
        (["--reps", "0"], ["--reps", "'0'"]),
    ],
)
def test_bad_value_is_a_usage_error(file: Path, arguments: list[str], words: list[str]) -> None:
    assert_error(gemel_("bench", file, *arguments), 2, *words)


def test_configurations_take_turns(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[str, int]] = []

    def seconds(self: bench.Runner, case: bench.Case) -> float:
        runs.append((case.test, case.threads))
        return float(len(runs))

    monkeypatch.setattr(bench.Runner, "seconds", seconds)
    with gemel.open(file) as model:
        cases = [bench.Case(test, 4, 0, threads, "scalar") for test in ("prefill", "decode") for threads in (1, 2)]
        rows = bench.measure(model, cases, reps=3, on_progress=lambda *_: None)
    assert runs == [(case.test, case.threads) for case in cases] * 3
    assert [row["tok_s"] for row in rows] == [4 / 5, 4 / 6, 4 / 7, 4 / 8]   # medians of 1 5 9, 2 6 10, ...
    assert (rows[0]["min"], rows[0]["max"]) == (4 / 9, 4 / 1)


def test_decoding_goes_on_past_the_end_of_a_text(file: Path) -> None:
    with gemel.open(file) as model:
        ends = [id for id in range(model.n_vocab) if model.is_eog(id)]
        case = bench.Case("decode", 60, 2, 1, "scalar")
        with bench.Runner(model, [case]) as runner:
            assert ends
            assert all(runner._sampling.logit_bias[id] == float("-inf") for id in ends)
            runner.prepare(case)
            assert runner.seconds(case) > 0
