"""Write tests/golden/llama_cpp/rerank.json: scores that llama.cpp gives for texts of ids, by tiny hashed rerankers.

    python tests/golden/make_llama_cpp_rerank.py

Run it by a Python that has llama-cpp-python and numpy; the tests don't. Each model has its own process, as in
make_llama_cpp_rows.py.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where tiny.py is, for a script that is run by its path

import golden_files
import llama_cpp
import tiny
from gguf_file import F32
from golden import cases
from golden.make_llama_cpp_rows import batch_of, in_a_process
from golden_files import IDS

BERT: dict[str, Any] = {"arch": "bert", "scores": 1, "pooling": 4, **cases.BIASES}
QWEN3: dict[str, Any] = {  # llama.cpp knows no bias of its classifier
    "arch": "qwen3", "scores": 2, "rank_dense": False, "without": ["cls.output.bias"],
    "kv": [["qwen3.pooling_type", "u32", 4]],
}  # fmt: skip
FIELDS: dict[str, dict[str, Any]] = {
    "bert": {**BERT, "seed": 9000},
    "bert, odd sizes, one type": {**BERT, "seed": 9001, **cases.ODD_ALL_HEADS, "n_types": 1},
    "bert, no matrix before the score": {**BERT, "seed": 9004, "rank_dense": False},
    "bert, no biases of the classifier": {**BERT, "seed": 9005, "without": ["cls.bias", "cls.output.bias"]},
    "qwen3": {**QWEN3, "seed": 9002},
    "qwen3, odd sizes": {**QWEN3, "seed": 9006, **cases.ODD},
}
LENGTHS = [1, 2, 5, 12, 21, 30, 47, 64]  # a text is the first so many of IDS, all of type 0, as llama.cpp has them


def scores_of(file: Path, ids: Sequence[int], n_ctx: int) -> F32:
    """Return the scores of the texts of LENGTHS: [texts][scores]."""
    f32 = llama_cpp.GGML_TYPE_F32
    llama = llama_cpp.Llama(
        str(file), n_ctx=n_ctx, n_batch=n_ctx, n_ubatch=n_ctx, n_threads=1, n_threads_batch=1, embedding=True,
        pooling_type=llama_cpp.LLAMA_POOLING_TYPE_RANK, flash_attn=False, type_k=f32, type_v=f32,
        verbose=bool(os.environ.get("VERBOSE")),
    )  # fmt: skip
    n_scores = max(1, llama_cpp.llama_model_n_cls_out(llama.model))
    out = []
    for n in LENGTHS:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(llama.ctx), True)
        assert llama_cpp.llama_decode(llama.ctx, batch_of(ids[:n])) == 0
        found = llama_cpp.llama_get_embeddings_seq(llama.ctx, 0)
        out.append(np.array(np.ctypeslib.as_array(found, (n_scores,)), np.float32))
    return np.stack(out)


if __name__ == "__main__":
    out: dict[str, Any] = {}
    for name, fields in FIELDS.items():
        given = {**cases.BASE, **fields}
        pairs, tensors = tiny.described(tiny.TinyModel(**given))
        scores = in_a_process(scores_of, tiny.write_gguf(None, pairs, tensors), IDS[: max(LENGTHS)], given["n_ctx"])
        weights = golden_files.checksum(tensors)
        out[name] = {"fields": given, "lengths": LENGTHS, "weights": weights, "scores": scores.tolist()}
    path = golden_files.FOLDER / "llama_cpp" / "rerank.json"
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in out.items())
    made_by = json.dumps(f"llama-cpp-python {llama_cpp.__version__}")
    path.write_text(f'{{\n "made_by": {made_by},\n "cases": {{\n{lines}\n }}\n}}\n')
