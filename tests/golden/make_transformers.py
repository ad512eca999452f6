"""Write tests/golden/<architecture>.json: logits that Hugging Face transformers gives for tiny hashed models.

    python tests/golden/make_transformers.py            every row of tests/archs.py
    python tests/golden/make_transformers.py qwen2      one

Run it by a Python that has torch and transformers; the tests don't. The models' files are made first, as GGUF; cases.py
says which, and families.py gives their tensors to transformers under its own names.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where archs.py is, for a script that is run by its path

import golden_files
import tiny
import torch
import transformers
from archs import ARCHS
from golden import cases, families
from golden_files import IDS, N_VOCAB, Case


def take_exact_angles(model: torch.nn.Module, t: tiny.TinyModel) -> None:
    """Let RoPE compute its angles in float64, from frequencies that are not rounded."""
    freqs = torch.tensor(t.rope_base ** (-np.arange(0, t.rotated, 2) / t.rotated))

    def angles(x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        turns = position_ids[..., None].double() * freqs
        both = torch.cat([turns, turns], dim=-1)
        return both.cos().to(x.dtype), both.sin().to(x.dtype)

    (rope,) = (module for module in model.modules() if hasattr(module, "inv_freq"))
    rope.forward = angles


def case_of(golden: cases.Golden) -> Case:
    t = tiny.TinyModel(**golden.fields)
    with torch.no_grad():
        model, ids = families.model_of(t, golden.rope), torch.tensor([IDS[: golden.n_ids]])
        if golden.exact_angles:
            take_exact_angles(model, t)
        # MPNet's class counts positions from its padding token's id on; files have them from 0 on.
        more = {"position_ids": torch.arange(golden.n_ids)[None]} if t.arch == "mpnet" else {}
        out = model(ids, **more)
    logits = (out.last_hidden_state if t.row.has("ENCODER") else out.logits)[0].numpy()
    columns = list(range(0, t.n_embd, 5)) if t.row.has("ENCODER") else list(range(5, N_VOCAB, 17))
    rows = list(cases.rows_of(golden.n_ids))
    weights = golden_files.checksum(tiny.described(t)[1])
    return Case(golden.fields, golden.n_ids, golden.n_ctx, rows, columns, weights, logits[np.ix_(rows, columns)])


if __name__ == "__main__":
    for row in ARCHS.values():
        if row.name in (sys.argv[1:] or ARCHS):
            made_by = f"transformers {transformers.__version__}, torch {torch.__version__}"
            path = golden_files.FOLDER / f"{row.name}.json"
            golden_files.write(path, made_by, {name: case_of(case) for name, case in cases.of(row).items()})
            print(path.name, path.stat().st_size)
