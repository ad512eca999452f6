"""The threaded engine's modules give native's bits whichever compiler made them, emcc or zig, the rare ones too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyodide_files
import pytest
import tiny
from browser.hosts import Host

if TYPE_CHECKING:
    from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenTab = Callable[..., Any]
MODELS: dict[str, dict[str, Any]] = {
    "four": {"format": "Q4_1", "formats": {"attn_k": "Q5_0", "attn_v": "Q5_1", "ffn_down": "Q8_0"}},
    "k": {"format": "Q4_K", "formats": {"attn_v": "Q6_K", "output": "F16"}, "n_embd": 256, "n_ff": 512},
}
INSTALL = "import pyodide_js\nfor url in urls:\n    assert await pyodide_js.loadPackage(url)"
START = """
from gemel.tab import engine as tab_engine, features
if isa == "wasm128":
    features.has_relaxed_simd = lambda: False
features.has_fast_dot = lambda: isa == "wasmrelaxed"
if engine == "threads64":
    tab_engine.WIDE_SIZE = 0
await tab_engine.start(engine, 2)
None
"""
LOGITS = """
import gemel, hashlib
found = []
for data in models:
    with gemel.open(data, threads=threads) as model, model.session(n_ctx=64) as session:
        info = [model.info.engine, model.info.isa]
        ids = [*model.tokenize("The quick brown fox; la llama negra."), *range(1, 41)][:40]
        session.sync(ids[:33])
        found.append(hashlib.sha256(memoryview(session.logits()).cast("B")).hexdigest())
        session.append(ids[33:34])
        found.append(hashlib.sha256(memoryview(session.logits()).cast("B")).hexdigest())
[info, found]
"""


@pytest.mark.parametrize("compiler", ["emcc", "zig"])
@pytest.mark.parametrize(
    ("engine", "isa"),
    [("threads", "wasmrelaxed"), ("threads", "wasmpairs"), ("threads", "wasm128"), ("threads64", "wasmrelaxed")],
)
def test_every_module_of_either_compiler_gives_natives_logits(
    compiler: str, engine: str, isa: str, new_tab: OpenTab, served: Callable[..., Served], native: Host
) -> None:
    models = [tiny.tiny_llama(n_layer=2, **fields) for fields in MODELS.values()]
    wheels = [*map(pyodide_files.pure, pyodide_files.PURE), pyodide_files.gemel(compiler)]
    one = new_tab(isolated=True, where="worker", wheels=False)
    one.run(INSTALL, urls=[served(file.read_bytes(), name=file.name).url for file in wheels])
    one.run(START, engine=engine, isa=isa)
    info, found = one.run(LOGITS, models=models, threads=2)
    assert info == [engine, isa]
    assert len(set(found)) == 4
    assert found == native.run(LOGITS, models=models, threads=1)[1]
