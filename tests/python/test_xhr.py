"""A URL by synchronous requests, with a browser that tests make up: two versions of a file are never mixed."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import gemel
import pytest
from conftest import tiny_bytes
from gemel.tab.xhr import XhrSource

DATA = tiny_bytes()
DATED = {"Last-Modified": "Tue, 01 Apr 2025 00:00:00 GMT"}
ONE, TWO = {"ETag": '"one"'}, {"ETag": '"two"'}


class Bytes(bytes):
    """A Uint8Array."""

    byteLength = property(len)   # noqa: N815

    def subarray(self, start: int, end: int) -> Bytes:
        return Bytes(self[start:end])

    def to_bytes(self) -> bytes:
        return bytes(self)


class Answers:
    """A browser's XMLHttpRequest: the headers of each answer to a range, and of each to a request for all."""

    def __init__(self, parts: list[dict[str, str]], wholes: list[dict[str, str]], data: bytes = DATA) -> None:
        self.parts, self.wholes, self.data = parts, wholes, data
        self.asked: list[str] = []

    def new(self) -> Any:  # noqa: ANN401
        request = SimpleNamespace(open=lambda *_: None, span="")
        request.setRequestHeader = lambda _, span: setattr(request, "span", span)
        request.send = lambda: self._answer(request)
        return request

    def _answer(self, request: SimpleNamespace) -> None:
        self.asked.append(request.span)
        request.status, request.response, headers = 200, Bytes(self.data), {}
        if request.span:
            start, end = map(int, request.span.removeprefix("bytes=").split("-"))
            request.status, request.response = 206, Bytes(self.data[start : end + 1])
            headers = {"Content-Range": f"bytes {start}-{end}/{len(self.data)}", **self.parts.pop(0)}
        else:
            headers = self.wholes.pop(0)
        request.getResponseHeader = headers.get


def synchronous(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> XhrSource:
    js = SimpleNamespace(XMLHttpRequest=answers, Uint8Array=SimpleNamespace(new=lambda data: data))
    monkeypatch.setitem(sys.modules, "js", js)
    monkeypatch.setitem(sys.modules, "pyodide.ffi", SimpleNamespace(JsException=OSError))
    return XhrSource("it", ["https://example.org/it"], None)


@pytest.mark.parametrize(("parts", "wholes"), [
    ([ONE, ONE, ONE], []), ([ONE, {**ONE, **DATED}, ONE], []), ([{}], [ONE]), ([{}], [{}]),
    ([ONE, {}], [ONE]), ([ONE, {}], [{}]), ([ONE, DATED], [{**ONE, **DATED}]),
])  # fmt: skip
def test_synchronous_answers_that_name_no_version_are_not_another_file(
    monkeypatch: pytest.MonkeyPatch, parts: list[dict[str, str]], wholes: list[dict[str, str]]
) -> None:
    source = synchronous(monkeypatch, Answers(parts, wholes))
    assert source.sizes == (len(DATA),)
    assert [source.read(at, 100) for at in (0, 1000)] == [DATA[:100], DATA[1000:1100]]
    assert (parts, wholes) == ([], [])


@pytest.mark.parametrize(("parts", "wholes"), [([ONE, TWO], []), ([ONE, {}], [TWO])])
def test_synchronous_answers_of_another_version_are_an_error(
    monkeypatch: pytest.MonkeyPatch, parts: list[dict[str, str]], wholes: list[dict[str, str]]
) -> None:
    source = synchronous(monkeypatch, Answers(parts, wholes))
    with pytest.raises(gemel.SourceError, match="changed"):
        source.read(0, 100)


def test_a_file_that_loses_its_version_after_a_range_was_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    source = synchronous(monkeypatch, Answers([ONE, ONE, {}], [{}]))
    assert source.read(0, 100) == DATA[:100]
    with pytest.raises(gemel.SourceError, match="no longer sends the file's ETag or Last-Modified"):
        source.read(1000, 100)


@pytest.mark.parametrize(("parts", "wholes"), [([ONE], []), ([{}], [{}])])
def test_synchronous_answers_that_are_no_model_are_refused(
    monkeypatch: pytest.MonkeyPatch, parts: list[dict[str, str]], wholes: list[dict[str, str]]
) -> None:
    with pytest.raises(gemel.SourceError, match=r"https://example.org/it: the server sent a web page \('Down'\)"):
        synchronous(monkeypatch, Answers(parts, wholes, b"<html><title>Down</title>" * 100))
