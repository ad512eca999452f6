"""Qwen2.5-Coder 0.5B in a tab, by the side module and by the threaded engine: the hash and the answer of qwen.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import qwen
from browser.hosts import THREADS, Host
from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.model]
OPEN = """
import gemel
model = await gemel.open_async(url, threads=threads, cache=False)
model.info.engine
"""
ANSWER = "model.generate(prompt, max_tokens=n, temperature=0).read()"


@pytest.fixture(scope="module")
def data(qwen_path: Path) -> bytes:
    return qwen_path.read_bytes()


@pytest.mark.parametrize("host", ["side module", "threads"], indirect=True)
def test_qwen_gives_natives_logits_and_answer(host: Host, data: bytes, served: Callable[..., Served]) -> None:
    url = served(data, etag='"qwen"').url
    threads = THREADS if host.name == "threads" else None
    assert host.run(OPEN, url=url, threads=threads, timeout=300) == host.name
    try:
        assert host.run(qwen.LOGITS, text=qwen.TEXT) == qwen.LOGITS_SHA256
        assert host.run(ANSWER, prompt=qwen.PROMPT, n=qwen.ANSWER_TOKENS) == qwen.ANSWER
    finally:
        host.run("model.close()")
