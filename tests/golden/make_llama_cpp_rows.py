"""Write tests/golden/llama_cpp/<architecture>.json: logits that llama.cpp gives for tiny hashed models, and hidden
states of encoders.

    python tests/golden/make_llama_cpp_rows.py            every row of tests/archs.py, except mpnet, which it lacks
    python tests/golden/make_llama_cpp_rows.py qwen2      one

Run it by a Python that has llama-cpp-python and numpy; the tests don't. llama_cpp_cases.py says which models: files as
llama.cpp's converter writes them, in F32, computed with an F32 cache and without flash attention. Each has its own
process, because llama.cpp ends the process if it can't go on.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where archs.py is, for a script that is run by its path

import golden_files
import llama_cpp
import tiny
from archs import ARCHS
from gguf_file import F32
from golden import cases, llama_cpp_cases
from golden_files import IDS, N_VOCAB, Case

Outputs = Callable[[Path, Sequence[int], int], F32]


def logits_of(file: Path, ids: Sequence[int], n_ctx: int) -> F32:
    """Return llama.cpp's logits after each of ids."""
    f32 = llama_cpp.GGML_TYPE_F32
    llama = llama_cpp.Llama(
        str(file), n_ctx=n_ctx, n_batch=len(ids), n_threads=1, n_threads_batch=1, logits_all=True, flash_attn=False,
        type_k=f32, type_v=f32, verbose=bool(os.environ.get("VERBOSE")),
    )  # fmt: skip
    llama.eval(list(ids))
    return np.array(llama.scores[: len(ids)], np.float32)


def batch_of(ids: Sequence[int]) -> llama_cpp.llama_batch:
    """Return llama.cpp's batch of one text, whose tokens all give an output."""
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, id in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = id, i, 1, 0, True
    return batch


def hidden_of(file: Path, ids: Sequence[int], n_ctx: int) -> F32:
    """Return an encoder's hidden state of each of ids."""
    llama = llama_cpp.Llama(
        str(file), n_ctx=n_ctx, n_batch=n_ctx, n_ubatch=n_ctx, n_threads=1, n_threads_batch=1, embedding=True,
        pooling_type=llama_cpp.LLAMA_POOLING_TYPE_NONE, flash_attn=False, verbose=bool(os.environ.get("VERBOSE")),
    )  # fmt: skip
    assert llama_cpp.llama_encode(llama.ctx, batch_of(ids)) == 0
    found = llama_cpp.llama_get_embeddings(llama.ctx)
    return np.array(np.ctypeslib.as_array(found, (len(ids), llama.n_embd())), np.float32)


def in_a_process(outputs: Outputs, data: bytes, ids: Sequence[int], n_ctx: int) -> F32:
    """Return what `outputs` gives for a file's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        file, logits = Path(folder) / "model.gguf", Path(folder) / "logits.npy"
        file.write_bytes(data)
        child = os.fork()
        if child == 0:
            try:
                np.save(logits, outputs(file, ids, n_ctx))
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        found: F32 = np.load(logits)
        return found


def case_of(golden: cases.Golden) -> Case:
    t = tiny.TinyModel(**golden.fields)
    is_encoder = t.row.has("ENCODER")
    rows = list(cases.rows_of(golden.n_ids))
    columns = list(range(0, t.n_embd, 5) if is_encoder else range(5, N_VOCAB, 17))
    outputs = hidden_of if is_encoder else logits_of
    logits = in_a_process(outputs, tiny.tiny_llama(**golden.fields), IDS[: golden.n_ids], golden.n_ctx)
    weights = golden_files.checksum(tiny.described(t)[1])
    return Case(golden.fields, golden.n_ids, golden.n_ctx, rows, columns, weights, logits[np.ix_(rows, columns)])


if __name__ == "__main__":
    folder = golden_files.FOLDER / "llama_cpp"
    folder.mkdir(exist_ok=True)
    for name in sys.argv[1:] or [name for name in ARCHS if name != "mpnet"]:
        found = {case: case_of(golden) for case, golden in llama_cpp_cases.of(ARCHS[name]).items()}
        golden_files.write(folder / f"{name}.json", f"llama-cpp-python {llama_cpp.__version__}", found)
        print(name, (folder / f"{name}.json").stat().st_size, flush=True)
