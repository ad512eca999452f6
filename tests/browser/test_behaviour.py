"""Files of API behaviour, behaviour.py and those beside it, give the same answers on every host.

Hosts are this machine, Pyodide under node, a tab with the side module, and a tab with the threaded engine.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import gemel
import pytest
import tiny
from browser import behaviour, behaviour_drafts, behaviour_many
from browser.hosts import RELAXED, THREADS, Host
from conftest import CHATML
from saved_states import BITS_AT, sealed

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MODULES = (behaviour, behaviour_many, behaviour_drafts)
MODELS: dict[str, dict[str, Any]] = {
    "chat": {"chat_template": CHATML},
    "spm": {"tokenizer": "spm", "format": "Q8_0", "seed": 2},
    "long": {"n_ctx": 1024, "format": "Q4_0", "seed": 3, "n_vocab": 330},
    "abacus": {"arch": "abacus"},
    "wrong": {"kv": (("tokenizer.ggml.bos_token_id", "u32", 0xFFFFFFFF),), "without": {"tokenizer.ggml.pre"}},
}


@cache
def files() -> dict[str, bytes]:
    """Return what the cases need, by name."""
    made = {f"{name}.gguf": tiny.tiny_llama(**fields) for name, fields in MODELS.items()}
    with gemel.open(made["chat.gguf"]) as model, model.session(n_ctx=64) as session:
        session.sync(list(range(5, 35)))
        made["desktop.state"] = session.save()
        other = bytearray(made["desktop.state"])
        other[BITS_AT] += 1
        made["other.state"] = bytes(sealed(other))
    for module in MODULES:
        made[f"{module.__name__.rpartition('.')[2]}.py"] = Path(str(module.__file__)).read_bytes()
    return made


LOAD = """
import importlib.util
cases = {}
for name in ("behaviour", "behaviour_many", "behaviour_drafts"):
    spec = importlib.util.spec_from_file_location(name, f"{folder}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases |= {case: getattr(module, case) for case in module.cases()}
"""


def answer(host: Host, case: str) -> Any:  # noqa: ANN401
    """Run a case in a host, which gets the files first where it has not got them."""
    if "behaviour" not in host.prepared:
        for name, data in files().items():
            host.put(name, data)
        host.run(LOAD, folder=host.folder)
        host.prepared.add("behaviour")
    return host.run(f"await cases[{case!r}]()")


@cache
def native_answer(native: Host, case: str) -> Any:  # noqa: ANN401
    return answer(native, case)


@pytest.mark.parametrize("case", [case for module in MODULES for case in module.cases()])
def test_every_host_gives_the_same_answer(host: Host, native: Host, case: str) -> None:
    wanted = native_answer(native, case)
    assert wanted is not None
    if host is not native:
        assert answer(host, case) == wanted


def test_every_host_is_what_it_says(host: Host) -> None:
    host.run("import gemel\nwith gemel.open(data) as model:\n    info = model.info", data=files()["chat.gguf"])
    engine, isa, threads = host.run("[info.engine, info.isa, info.threads]")
    if host.name == "native":
        assert engine == "native"
    elif host.name == "threads":
        assert (engine, isa in RELAXED, threads) == ("threads", True, min(THREADS, os.cpu_count() or 1))
    else:
        assert (engine, isa in RELAXED, threads) == ("side module", True, 1)
