"""Write tests/golden/rerank.json: scores that Hugging Face transformers gives for pairs of ids of tiny rerankers.

    python tests/golden/make_rerank.py

Run it by a Python that has torch and transformers; the tests don't.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where tiny.py is, for a script that is run by its path

import golden_files
import tiny
import torch
import transformers
from golden import cases, families
from golden_files import IDS

FIELDS: dict[str, dict[str, Any]] = {
    "bert": {"arch": "bert", "scores": 1, "seed": 9000, **cases.BIASES},
    "bert, biases, odd sizes": {"arch": "bert", "scores": 1, "seed": 9001, **cases.ODD_ALL_HEADS, **cases.BIASES},
    "qwen3": {"arch": "qwen3", "scores": 2, "rank_dense": False, "seed": 9002},
}
N_FIRST, N_IDS = 9, 30


def tensor_of(t: tiny.TinyModel, name: str) -> torch.Tensor:
    found = next(one for one in tiny.described(t)[1] if one.name == name)
    shape = list(reversed([n for i, n in enumerate(found.ne) if i == 0 or n > 1 or name.endswith("weight")]))
    return torch.frombuffer(bytearray(found.data), dtype=torch.float32).reshape(shape)


def scores_of(t: tiny.TinyModel, ids: list[int], types: list[int]) -> list[float]:
    plain = families.model_of(replace(t, scores=0), {})
    with torch.no_grad():
        if t.arch == "qwen3":  # its two rows are those of "yes" and "no" in the head
            hidden = plain.model(torch.tensor([ids])).last_hidden_state[0, -1]
            return list((tensor_of(t, "cls.output.weight") @ hidden + tensor_of(t, "cls.output.bias")).numpy().tolist())
        plain.config.num_labels = t.scores
        model = transformers.AutoModelForSequenceClassification.from_config(plain.config, dtype=torch.float32).eval()
        state = {f"bert.{name}": value for name, value in plain.state_dict().items()}
        for kind in ("weight", "bias"):
            state[f"bert.pooler.dense.{kind}"] = tensor_of(t, f"cls.{kind}")
            state[f"classifier.{kind}"] = tensor_of(t, f"cls.output.{kind}")
        model.load_state_dict(state, strict=True)
        return list(model(torch.tensor([ids]), token_type_ids=torch.tensor([types])).logits[0].tolist())


if __name__ == "__main__":
    out: dict[str, Any] = {}
    for name, fields in FIELDS.items():
        given = {**cases.BASE, **fields}
        t = tiny.TinyModel(**given)
        ids, types = IDS[:N_IDS], [0] * N_FIRST + [1] * (N_IDS - N_FIRST)
        weights = golden_files.checksum(tiny.described(t)[1])
        out[name] = {"fields": given, "n_first": N_FIRST, "n_ids": N_IDS, "weights": weights}
        out[name]["scores"] = scores_of(t, ids, types)
    made_by = f"transformers {transformers.__version__}, torch {torch.__version__}"
    path = golden_files.FOLDER / "rerank.json"
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in out.items())
    path.write_text(f'{{\n "made_by": {json.dumps(made_by)},\n "cases": {{\n{lines}\n }}\n}}\n')
