"""`import gemel` loads little, and each part of the package only when a program needs it: tabs compile all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gemel
import pytest
from conftest import CHATML, tiny_bytes

ROOMS = "{name.split('.')[1] for name in sys.modules if name.startswith('gemel.')}"


def run_python(script: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_and_a_plain_answer_load_only_what_they_need(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(tiny_bytes(chat_template=CHATML))
    script = f"""
import sys
import gemel
print({ROOMS})
with gemel.open({str(tmp_path / "m.gguf")!r}) as model:
    model.generate("Once", max_tokens=4, temperature=0).read()
    print({ROOMS} & {{"schema", "dialect", "tools", "tab"}})
    model.info
    print({ROOMS} & {{"schema", "tools", "tab"}})
    print([name for name in sys.modules if name.startswith(("gemel.model.batch.", "gemel.model.chat"))])
    print(model.chat().__class__)
"""
    assert run_python(script).splitlines() == ["{'core'}", "set()", "set()", "[]", "<class 'gemel.Chat'>"]


def test_every_public_name_is_known_before_it_is_imported() -> None:
    script = "import gemel; print(sorted({*gemel._ORIGINS, *gemel._MODULES, *vars(gemel)} & {*gemel.__all__}))"
    assert run_python(script).strip() == str(sorted({*gemel.__all__} - {"__version__"}))
    with pytest.raises(AttributeError, match="module 'gemel' has no attribute 'Modle'"):
        gemel.Modle   # type: ignore[attr-defined]  # noqa: B018
