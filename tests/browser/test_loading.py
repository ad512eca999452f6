"""A model's bytes on their way into a tab: ranges, the cache, broken connections, other tabs, files of the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import tiny
from browser.hosts import Tab

if TYPE_CHECKING:
    from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenTab = Callable[..., Tab]
Serve = Callable[..., "Served"]
OPEN = "import gemel\nmodel = await gemel.open_async(url, threads=1)\n"
LOGITS = """
with model.session() as session:
    ids = session.sync([1, 2, 3, 4, 5])
    logits = bytes(session.logits())
logits
"""


@pytest.fixture(scope="module")
def data() -> bytes:
    """A model of some blocks, its layers stored by name."""
    return tiny.tiny_llama(seed=7, n_layer=12, by_name=True, n_embd=256, n_ff=768, format="Q8_0")


@pytest.fixture(scope="module")
def logits(data: bytes) -> bytes:
    import gemel

    with gemel.open(data, threads=1) as model, model.session() as session:
        session.sync([1, 2, 3, 4, 5])
        return bytes(session.logits())


@pytest.mark.parametrize("where", ["main", "worker"])
def test_a_url_is_loaded_and_cached(fresh_tab: OpenTab, served: Serve, data: bytes, logits: bytes, where: str) -> None:
    file = served(data)
    one = fresh_tab(where=where)
    assert one.run(OPEN + LOGITS, url=file.url) == logits
    assert file.sent >= len(data)
    file.forget()
    assert one.run(OPEN + LOGITS, url=file.url) == logits
    assert file.requests == []
