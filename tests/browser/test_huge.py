"""Models of 2 and 5 GB in a tab. Only when asked for: pytest -m huge tests/browser (12 GB of memory).

The files are never written: see big.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import big
import gemel
import pytest
from browser.hosts import Tab

if TYPE_CHECKING:
    from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.huge]
OPEN = "import gemel\nmodel = await gemel.open_async(url, threads=2, cache=False)\nmodel.info.engine"
TEXT = "model.generate('The capital of France is', max_tokens=16, temperature=0).read()"
LOGITS = """
import hashlib
with model.session(n_ctx=32) as session:
    session.sync(list(range(3, 20)))
    first = bytes(memoryview(session.logits()).cast("B"))
    session.append([20])
    found = hashlib.sha256(first + bytes(memoryview(session.logits()).cast("B"))).hexdigest()
found
"""


Opened = tuple[Tab, Any, dict[str, Any]]


def opened(shape: big.Shape, fresh_tab: Callable[..., Tab], served: Callable[..., Served]) -> Opened:
    """Open a model here and in a tab; return the tab, the name of its engine, and what the model gives here."""
    file = big.big_model(shape)
    space: dict[str, Any] = {"hashlib": hashlib, "size": len(file)}
    with gemel.open(file, threads=2) as space["model"]:   # type: ignore[arg-type]
        exec(LOGITS, space)
        space["text"] = eval(TEXT, space)
    tab = fresh_tab(isolated=True, where="worker")
    return tab, tab.run(OPEN, url=served(file, etag='"huge"').url, timeout=900), space


def test_a_model_of_five_gigabytes_gives_natives_bits(
    fresh_tab: Callable[..., Tab], served: Callable[..., Served]
) -> None:
    tab, engine, native = opened(big.OVER_4_GB, fresh_tab, served)
    assert native["size"] > 4.8e9
    assert engine == "threads64"
    assert tab.run("model.weight_size > 2**32") is True
    assert tab.run(LOGITS, timeout=300) == native["found"]


def test_three_billion_weights_give_natives_bits_and_text(
    fresh_tab: Callable[..., Tab], served: Callable[..., Served]
) -> None:
    tab, engine, native = opened(big.LLAMA_32_3B, fresh_tab, served)
    assert 1.9e9 < native["size"] < 2.1e9
    assert engine == "threads"
    assert tab.run("round(model.n_params / 1e9, 1)") == 3.2
    assert tab.run(LOGITS, timeout=300) == native["found"]
    assert tab.run(TEXT, timeout=300) == native["text"]
