"""gemel's own page in Firefox: an answer with native's bits, Python, the cache, an OpenAI client, and no network."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import building
import gemel
import pytest
import tiny
from browser import demo
from browser.pages import static
from browser.walk import walking
from conftest import CHATML
from gemel_web import ServedModel

if TYPE_CHECKING:
    from browser.server import Trap

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SETTINGS: dict[str, Any] = {"temperature": 0, "max_tokens": 24}   # as in walk.js
QUIET: Mapping[str, object] = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}


@pytest.fixture
def firefox(trap: Trap) -> Iterator[list[str]]:
    """The command of a Firefox with a new profile, whose way to other machines is the trap."""
    program = os.environ.get("GEMEL_FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
    if not program or not Path(program).exists():
        building.lacking("Firefox is not installed (apt install firefox-esr, or set GEMEL_FIREFOX)")
    host, _, port = trap.address.rpartition(":")
    prefs = {**QUIET, "network.proxy.type": 1}
    for kind in ("http", "ssl"):
        prefs |= {f"network.proxy.{kind}": host, f"network.proxy.{kind}_port": int(port)}
    with tempfile.TemporaryDirectory(prefix="gemel-firefox-", ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in prefs.items()]
        Path(profile, "user.js").write_text("".join(lines), encoding="utf-8")
        yield [program, "--headless", "--no-remote", "--profile", profile]


def words(text: str) -> str:
    """Return a text without its white space, which markdown may change."""
    return "".join(text.split())


def test_the_page_has_natives_bits_and_goes_on_without_its_server(
    firefox: list[str], trap: Trap, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(tiny.tiny_llama(n_layer=2, n_ctx=2048, chat_template=CHATML))
    with gemel.open(file) as model:
        wanted = model.chat().send("Hello", **SETTINGS).read()
        with walking(firefox, demo.site({"tiny": ServedModel(model, (file,))}, static())) as (report, server):
            report.next("offline")
            server.close()
            report.go_on()
            found = report.next("done")
    assert words(found["answer"]) == words(found["offline"]) == words(wanted)
    assert found["host"] == "This tab"
    assert "relaxed SIMD" in found["figures"]
    host, stream = found["stream"]
    pieces = [json.loads(line.removeprefix("data: ")) for line in stream.split("\n\n")[:-2]]
    assert host == "tab"
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in pieces) == wanted
    assert "engine='threads'" in found["output"]
    assert found["said"] == []
    assert trap.outside() == []
