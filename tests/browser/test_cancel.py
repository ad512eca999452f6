"""A side module has one thread and no shared memory: it can be stopped because it stops by itself, every few tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
from browser.hosts import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenTab = Callable[..., Tab]
FIRST = 8   # tokens of the first micro-batch of an asynchronous generation, at most
READ = """
import asyncio
import gemel
model = gemel.open(data)
ids = [1, *(3 + i % 250 for i in range(900))]
generation = model.generate(ids, max_tokens=4, temperature=0)
pieces = []
async def read():
    async for piece in generation:
        pieces.append(piece)
reading = asyncio.ensure_future(read())
"""
FOUND = "[generation.timings.n_evaluated, generation.stop_reason, pieces]"


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_ctx=1024)


def closed(one: Tab, closing: str, data: bytes) -> Any:  # noqa: ANN401
    one.run(READ + closing, data=data)
    return one.run("await asyncio.wait_for(reading, 60)\nmodel.close()\n" + FOUND)


def test_python_closes_a_prefill_after_its_first_micro_batch(tab: OpenTab, data: bytes) -> None:
    wait = "while not generation.timings.n_evaluated:\n    await asyncio.sleep(0)\ngeneration.close()"
    evaluated, reason, pieces = closed(tab(), wait, data)
    assert (reason, pieces) == ("cancelled", [])
    assert 0 < evaluated <= FIRST


def test_a_click_closes_a_prefill(tab: OpenTab, data: bytes) -> None:
    """A button's handler gets its turn between micro-batches."""
    one = tab()
    one.run("""
import js
from js import document
from pyodide.ffi import create_proxy
generation = None
js.evaluated = create_proxy(lambda: generation.timings.n_evaluated if generation else 0)
button = document.createElement("button")
button.textContent = "stop"
button.addEventListener("click", create_proxy(lambda event: generation.close()))
document.body.append(button)
""")
    one.page.evaluate("""() => {
        window.clicked = 0;
        const click = () => {
            if (evaluated()) {
                document.querySelector("button").click();
                window.clicked++;
            } else setTimeout(click, 0);
        };
        click();
    }""")
    evaluated, reason, pieces = closed(one, "", data)
    assert (reason, pieces) == ("cancelled", [])
    assert 0 < evaluated < 900
    assert one.page.evaluate("clicked") == 1
