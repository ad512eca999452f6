"""Golden files: a case of tests/golden/*.json <-> a tiny model's file, ids, and the logits that transformers gave.

The weights are not there: tiny.hashed_numbers makes them again, and a checksum says whether they are the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tiny
from gguf_file import F32

FOLDER = Path(__file__).parent / "golden"
ONLY_LLAMA_CPP = ("arwkv7",)  # no other implementation is known that runs without a GPU
N_VOCAB = 323
IDS = [(31 * i * i + 7 * i + 3) % N_VOCAB for i in range(2000)]


@dataclass(frozen=True)
class Case:
    """Logits [rows][columns] of the first n_ids IDS, in a session of n_ctx (it chooses between longrope's tables)."""

    fields: dict[str, Any]  # of tiny.TinyModel
    n_ids: int
    n_ctx: int
    rows: list[int]
    columns: list[int]
    weights: str  # checksum
    logits: F32  # [rows][columns]

    def model(self) -> bytes:
        """Return the GGUF file; AssertionError when its weights are not those that the logits were made with."""
        pairs, tensors = tiny.described(tiny.TinyModel(**self.fields))
        assert checksum(tensors) == self.weights, "tiny.py makes other weights than when the golden file was made"
        return tiny.write_gguf(None, pairs, tensors)


def path_of(arch: str) -> Path:
    """Return where an architecture's cases are."""
    return FOLDER / ("llama_cpp" if arch in ONLY_LLAMA_CPP else "") / f"{arch}.json"


def checksum(tensors: list[tiny.Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.name!s} {tensor.type} {tensor.ne} ".encode() + tensor.data)
    return found.hexdigest()


def read(path: Path) -> dict[str, Case]:
    """Return the cases of a golden file by name."""
    cases = json.loads(path.read_text())["cases"]
    for case in cases.values():
        raw = np.frombuffer(base64.b64decode(case["logits"]), "<f4")
        case["logits"] = raw.reshape(len(case["rows"]), len(case["columns"])).astype(np.float32)
    return {name: Case(**case) for name, case in cases.items()}


def write(path: Path, made_by: str, cases: dict[str, Case]) -> None:
    """Write a golden file, a case a line."""
    lines = []
    for name, case in cases.items():
        packed = {**vars(case), "logits": base64.b64encode(case.logits.astype("<f4").tobytes()).decode()}
        lines.append(f"  {json.dumps(name)}: {json.dumps(packed)}")
    body = ",\n".join(lines)
    path.write_text(f'{{\n "made_by": {json.dumps(made_by)},\n "cases": {{\n{body}\n }}\n}}\n')
