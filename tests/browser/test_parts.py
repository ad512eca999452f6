"""Qwen2.5-Coder and Gemma 3 under node and in tabs, by both engines: the hashes and answers of parts.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import parts
import pytest
from browser.hosts import THREADS, Host
from browser.server import Served
from parts import PartModel

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.model]
OPEN = """
import gemel
model = await gemel.open_async(url, threads=threads, cache=False)
model.info.engine
"""
ANSWER = "model.generate(prompt, max_tokens=n, temperature=0).read()"
CASES = [(parts.QWEN, "side module"), (parts.QWEN, "threads")]
CASES += [(parts.GEMMA, name) for name in ("node", "side module", "threads")]


@pytest.mark.parametrize(
    ("model", "host"), CASES, indirect=["host"], ids=[f"{model.name} {host}" for model, host in CASES]
)
def test_real_models_give_natives_logits_and_answer(
    model: PartModel, host: Host, part_path: Callable[[PartModel], Path], served: Callable[..., Served]
) -> None:
    url = served(part_path(model).read_bytes(), etag=f'"{model.name}"').url
    threads = THREADS if host.name == "threads" else None
    engine = "side module" if host.name == "node" else host.name
    assert host.run(OPEN, url=url, threads=threads, timeout=300) == engine
    try:
        assert host.run(parts.LOGITS, text=parts.TEXT, n_ids=model.n_ids) == model.logits_sha256
        assert host.run(ANSWER, prompt=model.prompt, n=model.n_answer) == model.answer
    finally:
        host.run("model.close()")
