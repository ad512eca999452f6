"""Write what llama.cpp gives for a real model to tests/golden/<model>.json.

    python tests/golden/make_llama_cpp.py smollm2-135m-instruct FILE.gguf
    python tests/golden/make_llama_cpp.py qwen2.5-coder-0.5b-instruct FILE.gguf

Run it by a Python that has llama-cpp-python and numpy; the tests need only its output. SmolLM2 is written in F16, too,
and both are scored on prose; Qwen2.5-Coder is scored on prose and on code.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where peer.py is, for a script that is run by its path

import llama_cpp
import peer


def main(name: str, file: Path) -> None:
    if name.startswith("smollm2"):
        with tempfile.TemporaryDirectory() as folder:
            f16 = Path(folder) / "f16.gguf"
            peer.write_f16(file, f16)
            cases = {"as it is": peer.golden_of(file, "english.txt"), "f16": peer.golden_of(f16, "english.txt")}
    else:
        cases = {text: peer.golden_of(file, f"{text}.txt") for text in ("english", "code")}
    path = peer.FOLDER / f"{name}.json"
    peer.write(path, f"llama-cpp-python {llama_cpp.__version__}, of {file.name}", cases)
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
