"""Write tests/golden/rwkv7.json: logits that RWKV's own package, rwkv, gives for tiny hashed models.

    python tests/golden/make_rwkv.py

Run it by a Python that has rwkv and torch; the tests don't. transformers has no RWKV-7. The models' files are made
first, as GGUF; cases.py says which, and their tensors go to the package under its own names.
"""

from __future__ import annotations

import os
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where archs.py is, for a script that is run by its path

import golden_files
import tiny
import torch
from archs import ARCHS
from gguf_file import F32, read_gguf
from golden import cases
from golden_files import IDS, N_VOCAB, Case

os.environ |= {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}

NAMES = {
    "token_embd": "emb", "token_embd_norm": "blocks.0.ln0", "output_norm": "ln_out", "output": "head",
    "attn_norm": "blocks.{}.ln1", "attn_norm_2": "blocks.{}.ln2", "time_mix_ln": "blocks.{}.att.ln_x",
    **{f"time_mix_{name}": f"blocks.{{}}.att.{name}" for name in ("key", "value", "receptance", "output")},
    **{f"channel_mix_{name}": f"blocks.{{}}.ffn.{name}" for name in ("key", "value")},
}  # fmt: skip


def named(name: str, x: F32, head_size: int) -> dict[str, F32]:
    """Return a tensor of a file under the package's names."""
    blk, _, rest = name.rpartition("blk.")[2].partition(".") if name.startswith("blk.") else ("", "", name)
    stem, _, kind = rest.rpartition(".")
    if stem in NAMES:
        return {f"{NAMES[stem].format(blk)}.{kind}": x}
    if stem == "time_mix_lerp_fused":
        return {f"blocks.{blk}.att.x_{part}": by for part, by in zip("rwkvag", x.reshape(6, -1), strict=True)}
    if stem == "channel_mix_lerp_k":
        return {f"blocks.{blk}.ffn.x_k": x}
    part = stem.removeprefix("time_mix_")   # w0, w1, .. k_k, k_a, r_k; matrices are multiplied from the right
    x = x.reshape(-1, head_size) if part == "r_k" else x
    return {f"blocks.{blk}.att.{part}": x.T if part[-1] in "12" else x}


def model_of(t: tiny.TinyModel) -> Any:  # noqa: ANN401
    tensors = read_gguf(tiny.write_gguf(None, *tiny.described(t)))[1]
    weights: dict[str, F32] = {}
    for name, tensor in tensors.items():
        weights |= named(name, tensor.floats(), t.wkv_size)
    from rwkv.model import RWKV  # reads the environment

    load = torch.load
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model"
        torch.save({name: torch.tensor(np.array(x, np.float32)) for name, x in weights.items()}, f"{path}.pth")
        torch.load = lambda *args, mmap=True, **more: load(*args, **more)   # which torch 1.13 has no mmap for
        try:
            return RWKV(model=path, strategy="cpu fp32")
        finally:
            torch.load = load


def case_of(golden: cases.Golden) -> Case:
    t = tiny.TinyModel(**golden.fields)
    with torch.no_grad():
        model, state, out = model_of(t), None, []
        for id in IDS[: golden.n_ids]:
            logits, state = model.forward([id], state)
            out.append(logits.numpy().astype(np.float32))
    rows, columns = list(cases.rows_of(golden.n_ids)), list(range(5, N_VOCAB, 17))
    weights = golden_files.checksum(tiny.described(t)[1])
    return Case(golden.fields, golden.n_ids, golden.n_ctx, rows, columns, weights, np.stack(out)[np.ix_(rows, columns)])


if __name__ == "__main__":
    made_by = f"rwkv {metadata.version('rwkv')}, torch {torch.__version__}"
    path = golden_files.FOLDER / "rwkv7.json"
    golden_files.write(path, made_by, {name: case_of(case) for name, case in cases.of(ARCHS["rwkv7"]).items()})
    print(path.name, path.stat().st_size)
