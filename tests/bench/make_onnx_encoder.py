"""Write a published encoder as transformers.js loads it: python tests/bench/make_onnx_encoder.py FOLDER OUT

FOLDER has config.json, tokenizer.json, tokenizer_config.json and model.safetensors. OUT becomes a folder with the same
configuration, and onnx/model_quantized.onnx: the graph that torch exports, quantised by ONNX Runtime's
quantize_dynamic, as the files of transformers.js are. Run it by a Python that has torch, transformers, onnx and
onnxruntime.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

NAMES = ("config.json", "tokenizer.json", "tokenizer_config.json")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
AXES = {0: "batch_size", 1: "sequence_length"}


def export(source: Path, path: Path) -> None:
    """Write the graph in float32."""
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    model = transformers.AutoModel.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()

    class Hidden(torch.nn.Module):   # type: ignore[misc]
        """The last hidden states alone; the mask is that of eager attention, which can be traced."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:  # noqa: ANN401
            unseen = (1 - mask[:, None, None, :].float()) * -1e9
            return self.model(input_ids=ids, attention_mask=unseen, token_type_ids=types).last_hidden_state

    ids = torch.tensor([[101, 2023, 2003, 102], [101, 2023, 102, 0]])
    mask = (ids != 0).to(torch.int64)
    torch.onnx.export(
        Hidden(), (ids, mask, torch.zeros_like(ids)), str(path), input_names=list(INPUTS),
        output_names=["last_hidden_state"], dynamic_axes=dict.fromkeys([*INPUTS, "last_hidden_state"], AXES),
        opset_version=17, dynamo=False,
    )  # fmt: skip


def main(source: Path, out: Path) -> None:
    quantization: Any = importlib.import_module("onnxruntime.quantization")
    (out / "onnx").mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        shutil.copyfile(source / name, out / name)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "model.onnx"
        export(source, plain)
        quantised = out / "onnx" / "model_quantized.onnx"
        quantization.quantize_dynamic(plain, quantised, weight_type=quantization.QuantType.QInt8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
