"""Whole models give native's logits to the bit on every host: tiny ones of each format, and SmolLM2."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tiny
from browser.hosts import Host

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TEXT = Path(__file__).parents[1] / "text" / "english.txt"
# Prefill in one batch, then a token at a time: both shapes of every kernel.
TINY = """
import gemel, hashlib
with gemel.open(data) as model, model.session(n_ctx=64) as session:
    ids = [*model.tokenize("The quick brown fox; la llama negra."), *range(1, 41)][:40]
    session.sync(ids[:33])
    found = [hashlib.sha256(memoryview(session.logits()).cast("B")).hexdigest()]
    for one in ids[33:]:
        session.append([one])
        found.append(hashlib.sha256(memoryview(session.logits()).cast("B")).hexdigest())
found
"""
LOGITS = """
import hashlib
ids = model.tokenize(text)[:200]
assert len(ids) == 200
found = []
with model.session(n_ctx=256) as session:
    session.sync(ids)
    found.append(hashlib.sha256(memoryview(session.logits()).cast("B")).hexdigest())
    session.truncate(180)
    for one in ids[180:]:
        session.append([one])
        found.append(hashlib.sha256(memoryview(session.logits()).cast("B")).hexdigest())
    assert found[0] == found[-1]
    session.truncate(0)
    found.append([value.hex() for value in session.score(ids)[0]])
found
"""
GREEDY = """
found = []
for prompt in prompts:
    generation = model.generate(prompt, max_tokens=12, temperature=0)
    generation.read()
    found.append([generation.ids, generation.text])
found
"""
PROMPTS = [
    "Once upon a time", "The capital of France is", "def fibonacci(n):", "Dear Sir or Madam,", "2 + 2 =",
    "The mitochondria is", "In the beginning", "Roses are red,", "import numpy as np\n", "The best way to learn is",
    "Une fois, il y avait", "To be or not to be", "1. Wash the rice\n2.", "The old man and the", "SELECT name FROM",
    "Water boils at", "She opened the door and", "My favourite colour is", "<html>\n<head>", "The moon is",
]  # fmt: skip


def fields_of(format_: str) -> dict[str, Any]:
    """Return a tiny model's fields; rows have a multiple of a block's weights, up to 256."""
    wide = tiny.BLOCKS[format_][0] > 32
    return {"format": format_, **({"n_embd": 256, "n_ff": 512} if wide else {})}


@cache
def natively(native: Host, format_: str) -> Any:  # noqa: ANN401
    return native.run(TINY, data=tiny.tiny_llama(**fields_of(format_)))


@pytest.mark.parametrize("format_", tiny.COMPUTED)
def test_every_format_gives_natives_logits(host: Host, native: Host, format_: str) -> None:
    wanted = natively(native, format_)
    assert len(set(wanted)) == 8
    if host is not native:
        assert host.run(TINY, data=tiny.tiny_llama(**fields_of(format_))) == wanted


def real_answers(host: Host, path: Path) -> dict[str, Any]:
    """Return SmolLM2's logits and texts in a host, computed once."""
    if host.name != "native":
        host.put("smollm2.gguf", path.read_bytes())
    name = str(path) if host.name == "native" else "smollm2.gguf"
    host.run("import gemel\nmodel = gemel.open(name)", name=name)
    try:
        found = {"logits": host.run(LOGITS, text=TEXT.read_text(encoding="utf-8"))}
        return found | {"texts": host.run(GREEDY, prompts=PROMPTS)}
    finally:
        host.run("model.close()")
        if host.name != "native":
            host.run("import os\nos.remove('smollm2.gguf')")


@pytest.fixture(scope="session")
def wanted(native: Host, real_path: Path) -> dict[str, Any]:
    return real_answers(native, real_path)


@pytest.mark.model
def test_smollm2_gives_natives_logits_and_texts(host: Host, wanted: dict[str, Any], real_path: Path) -> None:
    assert len({text for _, text in wanted["texts"]}) == len(PROMPTS) == 20
    assert "Paris" in wanted["texts"][1][1]
    if host.name != "native":
        assert real_answers(host, real_path) == wanted


@pytest.mark.parametrize("host", ["node", "side module", "threads"], indirect=True)
def test_closing_a_model_gives_its_memory_back(host: Host) -> None:
    """WebAssembly's memory never shrinks: a model that leaks a little each time ends a tab that opens it often."""
    sizes = host.run(
        """
import gemel
from pyodide_js import _module
sizes = []
for _ in range(10):
    with gemel.open(data) as model, model.session(n_ctx=512) as session:
        session.sync(list(range(5, 200)))
        memory = getattr(model._library, "memory", None)
    sizes.append(_module.HEAPU8.length if memory is None else memory.buffer.byteLength)
sizes
""",
        data=tiny.tiny_llama(n_embd=256, n_ff=1024, n_layer=4, format="F16", n_ctx=512),
    )
    assert sizes[-1] > 4_000_000
    assert len(set(sizes[3:])) == 1, sizes
