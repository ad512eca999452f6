"""The comparison with other engines: what is run, what is kept, what is made of it. Not how quick anything is."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import building
import compare_models
import compare_peers
import compare_report
import gemel
import pytest
from command import environment
from compare_cases import Case, random_ids
from conftest import CHATML, tiny_bytes

COMPARE = building.ROOT / "tests" / "bench" / "compare.py"
SMALL = ("-p", "16", "-n", "4", "-d", "20", "--reps", "2", "-t", "1,2")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compare") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    return path


def compare(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(COMPARE), *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.long
def test_every_case_is_measured_and_missing_peers_are_named(file: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    more = ("--gemel-isa", "scalar", "--gemel-kv", "f16", "--reading")
    done = compare(file, *SMALL, "--results", results, "--engines", "OpenVINO", *more)
    assert done.returncode == 0, done.stderr
    entry = json.loads(results.read_text())["files"]["tiny.gguf"]
    if importlib.util.find_spec("openvino_genai") is None:
        assert "OpenVINO is left out: openvino-genai is in none" in done.stderr
        assert set(entry["missing"]) == {"OpenVINO"}
    titles = [(row["case"]["test"], row["case"]["depth"], row["case"]["threads"]) for row in entry["cases"].values()]
    assert sorted(titles) == sorted(
        (test, depth, threads)
        for threads in (1, 2)
        for test, depth in (("open", 0), ("prefill", 0), ("decode", 0), ("decode", 20), ("sessions", 16))
    )
    for row in entry["cases"].values():
        for name in ("gemel", "gemel, scalar"):
            assert len(row["samples"][name]) == 2
            for sample in row["samples"][name]:
                assert sample.get("tok_s", 1) > 0
                assert sample.get("seconds", 1) > 0
    assert entry["engines"]["gemel, scalar"]["system"] == "scalar, KV cache q8_0"
    assert entry["engines"]["gemel, f16 cache"]["system"].endswith("KV cache f16")
    read = [row["case"]["test"] for row in entry["cases"].values() if "gemel, reading alone" in row["samples"]]
    assert set(read) == {"decode"}
    assert "8 sessions at once" in done.stdout


@pytest.mark.long
def test_a_run_goes_on_where_it_ended_and_can_be_redrawn(file: Path, tmp_path: Path) -> None:
    results, drawing, page = tmp_path / "results.json", tmp_path / "out.svg", tmp_path / "out.md"
    arguments = ("--tests", "open,prefill", "-p", "16", "-t", "1", "--engines", "OpenVINO", "--results", results)
    assert compare(file, *arguments, "--reps", "1").returncode == 0
    before = json.loads(results.read_text())["files"]["tiny.gguf"]["cases"]
    assert compare(file, *arguments, "--reps", "2").returncode == 0
    after = json.loads(results.read_text())["files"]["tiny.gguf"]["cases"]
    for key, row in before.items():
        assert after[key]["samples"]["gemel"][:1] == row["samples"]["gemel"]
        assert len(after[key]["samples"]["gemel"]) == 2
    kept = results.read_bytes()
    done = compare("--results", results, "--redraw", "--svg", drawing, "--markdown", page)
    assert done.returncode == 0, done.stderr
    assert results.read_bytes() == kept
    assert "prefill 16" in done.stdout
    assert "| prefill 16 | 1 |" in page.read_text()
    assert ElementTree.parse(drawing).getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tests", "prefil"], "'prefil' is not one of open, prefill"),
        (["-t", "0"], "'0': numbers over 0"),
        (["--engines", "llama"], "'llama' is not one of llama.cpp;"),
        (["--redraw"], "--redraw needs --results"),
        (["--reps", "0"], "--reps are at least 1"),
        (["--sessions", "1"], "--sessions at least 2"),
        (["--formats", "Q9"], "'Q9' is not one of F32"),
    ],
)
def test_bad_value_is_a_usage_error(file: Path, arguments: list[str], words: str) -> None:
    done = compare(file, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_the_script_needs_nothing_but_the_package(tmp_path: Path) -> None:
    package = os.pathsep.join((str(Path(gemel.__file__).parents[1]), str(building.ROOT / "native")))
    command = [sys.executable, str(COMPARE), "--help"]
    bare = {**environment(), "PYTHONPATH": package}
    done = subprocess.run(command, env=bare, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_python_that_is_none_is_named(file: Path) -> None:
    done = compare(file, "--peer-python", "/nowhere/python")
    assert done.returncode == 1
    assert "--peer-python /nowhere/python" in done.stderr


def test_an_engine_that_fails_is_noted_with_its_last_words(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF, but no more")
    process = compare_peers.Process(compare_peers.GEMEL, sys.executable, damaged, 1)
    with process, pytest.raises(compare_peers.EngineError, match=r"FormatError.*ended with 1"):
        process.ready()


def results_of(samples: dict[str, list[dict[str, float]]], case: Case) -> dict[str, Any]:
    return {
        "machine": {"cpu": "<a CPU>", "cores": 2, "system": "Linux"}, "date": "2026-01-02", "engines": {}, "others": [],
        "missing": {}, "failed": {}, "cases": {case.key: {"case": vars(case), "samples": samples}},
    }   # fmt: skip


def test_ratio_is_to_the_best_peer_of_medians() -> None:
    samples = {
        "gemel": [{"tok_s": 20.0}, {"tok_s": 90.0}, {"tok_s": 30.0}],
        "gemel, avx2": [{"tok_s": 70.0}],
        "llama.cpp": [{"tok_s": 10.0}],
        "OpenVINO": [{"tok_s": 15.0}, {"tok_s": 1.0}, {"tok_s": 99.0}],
    }
    (row,) = compare_report.rows_of(results_of(samples, Case("decode", 8, 64, 1, 2)))
    assert (row.title, row.threads, row.unit, row.reps) == ("decode 8 at 64", 2, "tok/s", 1)
    assert row.medians["gemel"] == 30
    assert row.best == ("OpenVINO", 15)
    assert row.ratio == 2
    assert row.over("llama.cpp", "llama.cpp, flash attention") == 3


def test_ratio_of_times_and_sizes_is_upside_down() -> None:
    samples = {"gemel": [{"seconds": 0.1, "rss_mb": 50.0}], "llama.cpp": [{"seconds": 0.3, "rss_mb": 100.0}]}
    rows = compare_report.rows_of(results_of(samples, Case("open", 1, 0, 1, 1)))
    assert [row.unit for row in rows] == ["s", "MB"]
    assert [row.ratio for row in rows] == pytest.approx([3, 2])


def test_drawing_is_xml_whatever_names_hold() -> None:
    samples = {"gemel": [{"tok_s": 2.0}], "llama.cpp": [{"tok_s": 1.0}]}
    files = {"<&>.gguf": results_of(samples, Case("prefill", 8, 0, 1, 1))}
    words = "".join(ElementTree.fromstring(compare_report.svg(files)).itertext())
    assert "<&>.gguf" in words
    assert "<a CPU>" in words


def test_cases_longer_than_the_models_context_are_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "short.gguf"
    path.write_bytes(tiny_bytes(arch="gpt2", n_ctx=24))
    results = tmp_path / "results.json"
    arguments = ("--tests", "prefill,depth", "-p", "16", "-n", "4", "-d", "8,20", "--reps", "1", "-t", "1")
    done = compare(path, *arguments, "--engines", "OpenVINO", "--results", results)
    assert done.returncode == 0, done.stderr
    assert "short.gguf: decode 4 at 20 is left out: the model's context is 24 tokens" in done.stderr
    entry = json.loads(results.read_text())["files"]["short.gguf"]
    assert [(row["case"]["test"], row["case"]["depth"]) for row in entry["cases"].values()] == [
        ("prefill", 0), ("decode", 8)
    ]   # fmt: skip
    assert all(row["samples"]["gemel"] for row in entry["cases"].values())


def test_a_model_that_is_neither_a_file_nor_a_name_is_a_usage_error() -> None:
    done = compare("no-such-model")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no file 'no-such-model'" in done.stderr


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"), ("gemma-3-270m-q4_k_m.gguf", "gemma-3-270m"),
        ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-0.5b-instruct"), ("x.IQ4_NL.gguf", "x"),
        ("Phi-3.5-mini.gguf", "Phi-3.5-mini"), ("a-BF16.gguf", "a"),
    ],
)  # fmt: skip
def test_files_of_other_formats_have_the_models_whole_name(name: str, stem: str) -> None:
    assert compare_models.stem_of(Path(name)) == stem


def test_longer_prompts_begin_as_shorter_ones_do() -> None:
    assert random_ids(1000, 50)[:20] == random_ids(1000, 20)
    assert random_ids(1000, 20, 1) != random_ids(1000, 20)


@pytest.mark.slow
def test_random_model_is_one_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "random.gguf"
    compare_models.write_random(path, n_layer=1)
    with gemel.open(path, threads=1) as model:
        assert (model.n_vocab, model.n_embd, model.n_ff, model.n_head, model.n_head_kv) == (32000, 2048, 5632, 32, 4)
        assert len(model.tokenize("the model")) > 2
        with model.session(8) as session:
            session.append([1, 2, 3])
            assert len(session.logits()) == 32000


@pytest.mark.peer
@pytest.mark.model
@pytest.mark.slow
def test_llama_cpp_is_measured_beside_gemel(real_path: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = compare(real_path, *SMALL, "-t", "1", "--reps", "1", "--results", results)
    assert done.returncode == 0, done.stderr
    for row in json.loads(results.read_text())["files"][real_path.name]["cases"].values():
        assert {"gemel", "llama.cpp", "llama.cpp, flash attention"} <= set(row["samples"])


@pytest.mark.peer
@pytest.mark.model
@pytest.mark.slow
def test_other_formats_are_made_by_llama_cpp(real_path: Path, tmp_path: Path) -> None:
    done = compare(real_path, "--make", tmp_path, "--formats", "Q2_K,IQ4_NL")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        with gemel.open(line, threads=1) as model:
            assert model.n_vocab == 49152
