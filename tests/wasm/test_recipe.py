"""docs/recipes.md's program for node runs unchanged, except for the address of the wheel."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import building
import gemel
import pyodide_files
import pytest
import tiny

pytestmark = [pytest.mark.wasm, pytest.mark.slow]


def test_the_program_for_node_runs(tmp_path: Path) -> None:
    page = (building.ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```js\n(// node\.mjs.*?)^```$", page, re.MULTILINE | re.DOTALL)
    wheel = pyodide_files.gemel()
    program, count = re.subn(rf"https://example\.org/{re.escape(wheel.name)}", str(wheel), program)
    assert count == 1
    (tmp_path / "node.mjs").write_text(program, encoding="utf-8")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "pyodide").symlink_to(pyodide_files.pyodide())
    (tmp_path / "model.gguf").write_bytes(data := tiny.tiny_llama())
    command = [str(building.node()), "node.mjs", "model.gguf"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with gemel.open(data) as model:
        text = model.generate("Once upon a time", max_tokens=32, temperature=0).read()
    assert text in done.stdout
