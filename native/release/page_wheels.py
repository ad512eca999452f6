"""Fetches the wheels that a tab loads by their locked hashes, to where web/build/assets.py looks for them first.

    python native/release/page_wheels.py

Needs setuptools, which tools.txt has: markupsafe is built without its C, and nothing else is downloaded for it.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "web" / "build"), str(ROOT / "pyodide_pkg" / "build")]

import assets  # noqa: E402
import pyodide_wheel  # noqa: E402

LOCKED = ["--require-hashes", "--no-deps", "--no-cache-dir"]
FETCHED, BUILT = Path(__file__).parent / "page.txt", Path(__file__).parent / "page_built.txt"


def main() -> None:
    """Run pip twice. It fails where a file has another hash."""
    python = ["--implementation", "cp", "--python-version", assets.PYTHON]
    tags = ["--abi", f"cp{assets.PYTHON.replace('.', '')}", "--abi", "none"]
    platforms = ["--platform", pyodide_wheel.PLATFORM, "--platform", "any"]
    pip = [sys.executable, "-m", "pip"]
    foreign = ["--only-binary", ":all:", *python, *tags, *platforms]
    ours = ["--no-binary", ":all:", "--no-build-isolation"]
    for words in (
        ["download", *LOCKED, *foreign, "--dest", assets.CACHE, "-r", FETCHED],
        ["wheel", *LOCKED, *ours, "--wheel-dir", assets.CACHE, "-r", BUILT],
    ):
        subprocess.run([*pip, *map(str, words)], check=True, env={**os.environ, "CC": "false"})


if __name__ == "__main__":
    main()
