"""`gemel bench --serve`: a fake server with known delays, a server of gemel, datasets, and what goes wrong."""

from __future__ import annotations

import doctest
import json
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import gemel
import pytest
from command import gemel_
from conftest import CHATML, tiny_bytes
from gemel_native.load import asking, datasets, figures, plot, running
from gemel_native.load.asking import Record
from web_server import Server

WAIT, GAP, PIECES = 0.05, 0.02, 4   # seconds before the first piece and between pieces


class Fake(BaseHTTPRequestHandler):
    """A server whose n-th answer is `script[n]`: "ok" or what goes wrong."""

    script: Sequence[str] = ()
    seen: list[tuple[str, dict[str, Any], str | None]]

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        raw = b'{"data": [{"id": "one"}]}'
        self._start(200, "application/json", len(raw))
        self.wfile.write(raw)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append((self.path, body, self.headers["authorization"]))
        what = self.script[(len(self.seen) - 1) % len(self.script)] if self.script else "ok"
        if what == "busy":
            raw = b'{"error": {"message": "too many requests are waiting"}}'
            self._start(429, "application/json", len(raw))
            self.wfile.write(raw)
            return
        self._start(200, "text/event-stream")
        self._event({"choices": [{"delta": {"role": "assistant"}}]})   # is no token
        for i in range(PIECES):
            time.sleep(GAP if i else WAIT)
            self._event({"choices": [{"delta": {"content": "x"}} if "chat" in self.path else {"text": "x"}]})
            if what == "odd":
                self._event({"choices": [], "usage": {"completion_tokens": "five"}})
            if what == "odder":
                self._event({"choices": ["x"]})
            if what == "cut":
                return
            if what == "broken":
                self._event({"error": {"message": "out of memory"}})
                return
        if what != "uncounted":
            self._event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _start(self, status: int, kind: str, size: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        if size is not None:
            self.send_header("content-length", str(size))
        self.end_headers()

    def _event(self, value: object) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()


@pytest.fixture
def fake() -> Iterator[tuple[str, type[Fake]]]:
    handler = type("Handler", (Fake,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()


def measured(url: str, *options: object, code: int = 0) -> Any:  # noqa: ANN401
    result = gemel_("bench", "--serve", url, "--json", *map(str, options))
    assert result.code == code, result.err
    return json.loads(result.out)


def test_times_and_tokens_are_those_of_the_server(fake: tuple[str, type[Fake]]) -> None:
    url, handler = fake
    found = measured(f"{url}/v1", "--requests", 6, "--concurrency", 3, "--api-key", "secret", "--prompt-tokens", 9)
    times = found["times"]
    assert found["answered"] == 6
    assert found["errors"] == {}
    assert (found["prompt_tokens"], found["answer_tokens"]) == (42, 30)
    for name in ("p50", "p90", "p99", "mean"):   # lower bounds hold on a busy machine, too
        assert times["first_token"][name] >= WAIT
        assert times["whole"][name] >= WAIT + (PIECES - 1) * GAP
    assert times["between"]["mean"] >= GAP
    assert times["per_token"]["mean"] * 4 >= times["between"]["mean"] * (PIECES - 1)   # 5 tokens in 4 pieces
    assert found["answer_tokens_s"] == pytest.approx(30 / found["seconds"])
    path, body, key = handler.seen[0]
    assert (path, key, body["model"], body["stream"]) == ("/v1/chat/completions", "Bearer secret", "one", True)
    assert len({one["messages"][0]["content"] for _, one, _ in handler.seen}) == 6
    assert all(len(one["messages"][0]["content"].split()) == 9 for _, one, _ in handler.seen)


def test_errors_are_counted_by_kind_and_never_as_answers(fake: tuple[str, type[Fake]]) -> None:
    url, handler = fake
    handler.script = ["ok", "busy", "cut", "broken", "uncounted", "busy"]
    found = measured(url, "--requests", 6, "--concurrency", 1, "--completions", "--served-model", "two")
    assert found["errors"] == {
        "429: too many requests are waiting": 2, "the stream ended without [DONE]": 1,
        "in the stream: out of memory": 1,
    }
    assert (found["answered"], found["answer_tokens"], found["prompt_tokens"]) == (2, 5 + PIECES, None)
    assert {(path, body["model"]) for path, body, _ in handler.seen} == {("/v1/completions", "two")}
    handler.script = ["busy"]
    shown = gemel_("bench", "--serve", url, "--requests", "2")
    assert shown.code == 1
    assert "2 requests failed: 429: too many requests are waiting" in shown.err


def test_the_table_fits_and_the_plot_is_svg(fake: tuple[str, type[Fake]], tmp_path: Path) -> None:
    url, _ = fake
    path = tmp_path / "times.svg"
    shown = gemel_("bench", "--serve", url, "--requests", "3", "--rate", "50", "--plot", str(path))
    assert shown.code == 0, shown.err
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "time to first token" in shown.out
    assert "50 a second" in shown.out
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 3


def test_requests_are_sent_at_their_times_unless_too_many_run(fake: tuple[str, type[Fake]]) -> None:
    url, _ = fake
    rated = measured(url, "--requests", 4, "--rate", 10, "--seed", 3)
    assert rated["seconds"] >= running.arrivals(4, 10, 3)[-1]
    crowded = measured(url, "--requests", 4, "--concurrency", 1)
    assert crowded["times"]["late"]["max"] >= 3 * WAIT


def test_arrivals_are_poissons_and_repeat_with_their_seed() -> None:
    times = running.arrivals(20_000, 4.0, 1)
    assert times == running.arrivals(20_000, 4.0, 1) != running.arrivals(20_000, 4.0, 2)
    gaps = [b - a for a, b in pairwise(times)]
    assert sum(gaps) / len(gaps) == pytest.approx(0.25, rel=0.03)
    assert sum(gap > 0.25 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.02)   # 1 / e


def test_percentiles_of_known_times() -> None:
    records = [Record(first=i / 100, gaps=[0.01, 0.03], whole=i / 100 + 0.04, n_tokens=3) for i in range(1, 101)]
    records.append(Record(error="429: no"))
    found = figures.figures(records, 10.0)
    first = found["times"]["first_token"]
    assert [first[one] for one in ("mean", "p50", "p90", "p95", "p99", "max")] == pytest.approx(
        [0.505, 0.505, 0.901, 0.9505, 0.9901, 1.0]
    )
    assert found["times"]["per_token"]["p99"] == pytest.approx(0.02)
    assert found["times"]["between"]["mean"] == pytest.approx(0.02)
    assert (found["answered"], found["answer_tokens_s"], found["requests_s"]) == (100, 30.0, 10.0)


def test_a_server_of_gemel(tmp_path: Path) -> None:
    path, data = tmp_path / "tiny.gguf", tmp_path / "prompts.jsonl"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    lines = ['"a text"', '{"prompt": "b", "max_tokens": 2}', '{"messages": [{"role": "user", "content": "c"}]}']
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with Server(path) as server:
        found = measured(server.url, "--requests", 6, "--dataset", data, "--answer-tokens", 3)
        texts = measured(server.url, "--requests", 2, "--completions", "--prompt-tokens", 4)
    assert (found["model"], found["answered"], found["errors"]) == ("model", 6, {})
    assert found["answer_tokens"] <= 16
    assert texts["answered"] == 2


# ---- Datasets --------------------------------------------------------------------------------------------------------


def test_sharegpt_gives_first_human_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "share.json"
    talks = [
        [{"from": "human", "value": "one"}, {"from": "gpt", "value": "x"}], [{"from": "gpt", "value": "x"}],
        [{"from": "gpt", "value": "x"}, {"from": "user", "value": "two"}],
    ]
    path.write_text(json.dumps([{"conversations": talk} for talk in talks]), encoding="utf-8")
    assert [one.text() for one in datasets.read(path)] == ["one", "two"]
    assert "1 conversation without a human turn left out" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["odd", "odder"])
def test_an_event_of_another_api_is_an_error_of_that_request(fake: tuple[str, type[Fake]], what: str) -> None:
    url, handler = fake
    handler.script = [what, "ok"]
    found = measured(url, "--requests", 2, "--concurrency", 1)
    assert (found["answered"], found["errors"]) == (1, {"the stream has an event that is not of OpenAI's API": 1})


@pytest.mark.parametrize(("text", "words"), [
    ("", "has no prompt"), ('"a"\n{"prompt": 5}', "line 2 is not a prompt"), ('"a"\nnonsense', "line 2 is not JSON"),
    ('[{"prompt": ""}]', "item 0 is not a prompt"), ('{"prompt": "a", "max_tokens": 0}', "line 1: max_tokens must be"),
    ('{"messages": []}', "line 1 is not a prompt"), ("[" * 100_000, "is not JSON"), ("[1, 2", "is not JSON"),
])  # fmt: skip
def test_an_invalid_dataset_names_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "data"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(gemel.ArgumentError, match=words):
        datasets.read(path)


@pytest.mark.parametrize(("options", "words"), [
    (["--serve", "ftp://x"], "write an address such as"), (["--serve", "http://127.0.0.1:99999"], "write an address"),
    (["tiny.gguf", "--serve", "http://x"], "leave it out, or name that with --served-model"),
    ([], "Missing argument 'MODEL'"),
    (["--serve", "http://127.0.0.1:9", "--requests", "0"], "an integer from 1"),
    (["--serve", "http://127.0.0.1:9"], "no server of OpenAI's API answers there"),
    (["--serve", "http://127.0.0.1:9", "--served-model", "m", "--dataset", "no.jsonl"], "no.jsonl can't be read"),
])
def test_what_cant_be_measured_is_an_error_of_one_line(options: list[str], words: str) -> None:
    shown = gemel_("bench", *options)
    assert shown.code in (1, 2)
    assert words in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("module", [asking, datasets, figures, plot, running])
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
