"""Installs gemel's wheel for this machine, without the source tree, and runs the API's tests against it.

    python native/release/wheel_tests.py DIST [pytest's arguments]

DIST has the wheel. What gemel needs, and what the tests need, comes from the package index.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("filelock", "httpx>=0.28", "hypothesis>=6.100", "numpy>=2.0", "pytest>=8.2", "pytest-timeout")
TESTS = ("abi", "api", "async", "batch", "chat", "chat_file", "compatibility", "decode", "drafts", "fork",
         "gguf", "import", "no_network", "paths", "sampler", "session", "state", "step")  # fmt: skip


def main() -> None:
    """Make a virtual environment, install, test; exit with pytest's code."""
    dist, *more = sys.argv[1:] or ["dist"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    with tempfile.TemporaryDirectory() as name:
        venv.create(name, with_pip=True)
        python = Path(name, "Scripts", "python.exe") if os.name == "nt" else Path(name, "bin", "python")
        install = ["-m", "pip", "install", "--quiet", "--only-binary", "gemel,gemel-page"]
        found = ["--find-links", str(Path(dist).resolve()), f"gemel[serve]=={version}"]
        subprocess.run([str(python), *install, *found, *NEEDED], check=True)
        files = [ROOT / "tests" / "python" / f"test_{test}.py" for test in TESTS]
        env = {key: value for key, value in os.environ.items() if not key.startswith(("GEMEL_", "PYTHONPATH"))}
        quick = ["-q", "-m", "not (model or slow or huge)"]
        commands: list[list[str]] = [["gemel", "doctor"], ["pytest", *quick, *map(str, files), *more]]
        for words in commands:
            done = subprocess.run([python, "-m", *words], cwd=ROOT, env={**env, "GEMEL_SAMPLE": "all"}, check=False)
            if done.returncode:
                sys.exit(done.returncode)


if __name__ == "__main__":
    main()
