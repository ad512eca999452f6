"""Measuring: what is run, in which order, and what is said of it. Not how quick it is."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import gemel
import pytest
from command import assert_error, gemel_
from gemel.profiling import Limits
from gemel_native import bench
from gemel_native.case import Case

ROW = {
    "test", "n", "depth", "threads", "isa", "tok_s", "min", "max", "reps", "token_bytes", "token_macs", "of_read",
    "of_dot",
}   # fmt: skip


def test_json_has_a_row_for_every_configuration(file: Path) -> None:
    arguments = ["-p", "20", "-n", "5", "-d", "0,30", "-t", "1,2", "--isa", "scalar", "--reps", "2", "--json"]
    result = gemel_("bench", file, *arguments).json
    assert set(result) == {"machine", "model", "kv_type", "rows", "limits", "load_s", "peak_rss_mb"}
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
        assert row["of_dot"] > 0
        assert (row["of_read"] is None) == (row["test"] == "prefill")
    assert [(found["threads"], found["isa"]) for found in result["limits"]] == [(1, "scalar"), (2, "scalar")]
    assert all(found["read_bytes_s"] > 0 and found["dot_macs_s"] > 0 for found in result["limits"])
    assert result["load_s"] > 0
    assert result["kv_type"] == "q8_0"
    assert result["machine"]["cpu"]
    assert result["model"]["name"] == str(file)


def test_bench_prints_a_table(file: Path) -> None:
    done = gemel_("bench", file, "-p", "8", "-n", "0", "-t", "1", "--reps", "1")
    assert (done.code, done.err) == (0, "")
    assert "prefill" in done.out
    assert "decode" not in done.out
    assert "tok/s" in done.out
    assert "of int8" in done.out
    assert "GB/s" in done.out
    assert "caller ms" not in done.out


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

    def seconds(self: bench.Runner, case: Case) -> float:
        runs.append((case.test, case.threads))
        return float(len(runs))

    monkeypatch.setattr(bench.Runner, "seconds", seconds)
    with gemel.open(file) as model:
        cases = [Case(test, 4, 0, threads, "scalar") for test in ("prefill", "decode") for threads in (1, 2)]
        rows, _ = bench.measure(model, cases, reps=3, on_progress=lambda *_: None)
    assert runs == [(case.test, case.threads) for case in cases] * 3
    assert [row["tok_s"] for row in rows] == [4 / 5, 4 / 6, 4 / 7, 4 / 8]   # medians of 1 5 9, 2 6 10, ...
    assert (rows[0]["min"], rows[0]["max"]) == (4 / 9, 4 / 1)


def test_decoding_goes_on_past_the_end_of_a_text(file: Path) -> None:
    with gemel.open(file) as model:
        ends = [id for id in range(model.n_vocab) if model.is_eog(id)]
        case = Case("decode", 60, 2, 1, "scalar")
        with bench.Runner(model, [case]) as runner:
            assert ends
            assert all(runner._sampling.logit_bias[id] == float("-inf") for id in ends)
            runner.prepare(case)
            assert runner.seconds(case) > 0


def test_a_token_costs_its_weights_and_half_of_the_keys_and_values(file: Path) -> None:
    with gemel.open(file) as model:
        limits = Limits(read=1e9, dot=1e9)
        found = bench.parts(model, Case("decode", 10, 100, 1, "scalar"), 50.0, limits, 7)
        size = model.decode_size + 7 * 105
        assert found["token_bytes"] == size
        assert found["of_read"] == pytest.approx(50 * size / 1e9)
        assert found["of_dot"] == pytest.approx(50 * model.decode_macs / 1e9)
        found = bench.parts(model, Case("prefill", 10, 100, 1, "scalar"), 50.0, limits, 7)
        assert model.prefill_macs < found["token_macs"] < model.decode_macs
        assert found["token_macs"] * 10 == pytest.approx(9 * model.prefill_macs + model.decode_macs)


@pytest.mark.long
def test_profile_shows_where_the_time_of_each_case_went(file: Path) -> None:
    arguments = ("-p", "200", "-n", "5", "-t", "1,2", "--reps", "1", "--profile")
    result = gemel_("bench", file, *arguments, "--json").json
    profiles = result["profiles"]
    assert [(one["test"], one["threads"]) for one in profiles] == [
        ("prefill", 1), ("prefill", 2), ("decode", 1), ("decode", 2)
    ]   # fmt: skip
    for one in profiles:
        rows = {(row["operation"], row["in_layers"]): row for row in one["operations"]}
        assert {"attention in", "attention", "ffn in", "ffn out"} <= {name for name, inside in rows if inside}
        assert ("sample, detokenise" in {name for name, _ in rows}) == (one["test"] == "decode")
        assert one["lost"] == 0
        assert sum(row["caller_s"] for row in one["operations"]) == pytest.approx(one["seconds"])
        for row in one["operations"]:
            assert 0 <= row["caller_s"] <= row["threads_s"] + 1e-9
        micro_batches = 2 if one["test"] == "prefill" else 6   # the prompt's id, then five
        attended = 2 * micro_batches - (one["test"] == "prefill")   # a prompt's last layer, for its last part alone
        assert rows["attention", True]["calls"] == attended
    done = gemel_("bench", file, *arguments)
    assert done.err == ""
    assert "decode 5 at depth 0, 2 threads" in done.out
    assert "ffn in" in done.out


def test_trace_is_what_perfetto_reads(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    done = gemel_("bench", file, "-p", "16", "-n", "3", "-t", "2", "--isa", "scalar", "--reps", "1", "--trace", path)
    assert (done.code, done.err) == (0, "")
    assert "ffn in" not in done.out
    events = json.loads(path.read_text())["traceEvents"]
    names = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert {"caller", "thread 1", "prefill 16, depth 0, 2 threads, scalar"} <= names
    complete = [event for event in events if event["ph"] == "X"]
    assert {event["pid"] for event in complete} == {1, 2}
    assert {event["tid"] for event in complete} == {0, 1}
    passes = [event for event in complete if event["name"] == "pass"]
    assert all(event["dur"] > 0 for event in passes)
    outside = set()
    for event in complete:
        assert event["args"]["tokens"] >= 1
        mine = [one for one in passes if (one["pid"], one["tid"]) == (event["pid"], event["tid"])]
        if not any(
            one["ts"] - 0.01 <= event["ts"] and event["ts"] + event["dur"] <= one["ts"] + one["dur"] + 0.01
            for one in mine
        ):
            outside.add(event["name"])
    assert outside == {"sample, detokenise"}   # the caller's, after a pass
    for pid in (1, 2):   # within a thread an operation ends before the next begins, except the pass that holds them
        track = [event for event in complete if (event["pid"], event["tid"]) == (pid, 0) and event["name"] != "pass"]
        for one, after in itertools.pairwise(track):
            assert one["ts"] + one["dur"] <= after["ts"] + 0.01


def test_events_that_do_not_fit_are_reported(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "EVENTS", 20)
    path = tmp_path / "trace.json"
    done = gemel_("bench", file, "-p", "16", "-n", "0", "-t", "1", "--reps", "1", "--trace", path)
    assert done.code == 0
    assert done.err.startswith("note: the profile of prefill 16 with 1 thread has only its first 20 events;")
    assert "(the first 20 events)" in path.read_text()


def test_trace_that_cannot_be_written_is_an_error(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "trace.json"
    done = gemel_("bench", file, "-p", "8", "-n", "0", "-t", "1", "--reps", "1", "--trace", path)
    assert_error(done, 1, "--trace", "can't be written", "nowhere")
