"""Write what llama.cpp gives for a real model to tests/golden/<model>.json.

    python tests/golden/make_llama_cpp.py smollm2-135m-instruct FILE.gguf
    python tests/golden/make_llama_cpp.py qwen2.5-coder-0.5b-instruct FILE.gguf
    python tests/golden/make_llama_cpp.py gemma-3-270m FILE.gguf          also: gemma-3-270m-f16

Run it by a Python that has llama-cpp-python and numpy; the tests need only its output. SmolLM2 and Gemma are written in
F16, too; SmolLM2 is scored on prose, the others on prose and on code, Gemma in chunks longer than its window.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where peer.py is, for a script that is run by its path

import llama_cpp
import peer

GEMMA: dict[str, Any] = {"n_chunk": 1024, "bos": 2, "specials": peer.GEMMA_SPECIALS}
CASES: dict[str, dict[str, tuple[str, bool, dict[str, Any]]]] = {   # text, in F16?, options of golden_of
    "smollm2-135m-instruct": {"as it is": ("english.txt", False, {}), "f16": ("english.txt", True, {})},
    "qwen2.5-coder-0.5b-instruct": {text: (f"{text}.txt", False, {}) for text in ("english", "code")},
    "gemma-3-270m": {
        "english": ("english.txt", False, GEMMA), "code": ("code.txt", False, GEMMA),
    },
    "gemma-3-270m-f16": {
        "english, f16": ("english.txt", True, GEMMA), "code, f16": ("code.txt", True, GEMMA),
    },
}   # fmt: skip


def main(name: str, file: Path) -> None:
    cases = {}
    with tempfile.TemporaryDirectory() as folder:
        f16 = Path(folder) / "f16.gguf"
        for case, (text, is_f16, options) in CASES[name].items():
            if is_f16 and not f16.exists():
                peer.write_f16(file, f16)
            cases[case] = peer.golden_of(f16 if is_f16 else file, text, **options)
    path = peer.FOLDER / f"{name}.json"
    peer.write(path, f"llama-cpp-python {llama_cpp.__version__}, of {file.name}", cases)
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
