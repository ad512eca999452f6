"""A model that transformers has no class of: Jina's BERT, made of its BERT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers
from reference import alibi_slopes
from tiny import TinyModel, of_layer


class _Gated(torch.nn.Module):   # type: ignore[misc]  # torch is not installed where types are checked
    def __init__(self, n_embd: int, n_ff: int, bias: bool) -> None:
        super().__init__()
        self.gate = torch.nn.Linear(n_embd, n_ff, bias=bias)
        self.up = torch.nn.Linear(n_embd, n_ff, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(self.gate(x)) * self.up(x)


class Jina(torch.nn.Module):   # type: ignore[misc]
    """A BERT without positions, with ALiBi to both sides and gated feed-forwards: transformers has no class of it."""

    def __init__(self, t: TinyModel, fields: dict[str, Any]) -> None:
        super().__init__()
        config = transformers.AutoConfig.for_model("bert", attn_implementation="eager", **fields)
        self.bert = transformers.AutoModel.from_config(config, dtype=torch.float32, add_pooling_layer=False).eval()
        self.bert.embeddings.position_embeddings.weight.data.zero_()
        for layer in self.bert.encoder.layer:
            layer.intermediate = _Gated(t.n_embd, of_layer(t.n_ff, 0), t.ffn_biases)
        self.slopes = torch.tensor(alibi_slopes(of_layer(t.n_head, 0), 8.0))

    def forward(self, ids: torch.Tensor) -> Any:  # noqa: ANN401
        at = torch.arange(ids.shape[1])
        bias = -(at[:, None] - at[None]).abs() * self.slopes[:, None, None]
        return self.bert(ids, attention_mask=bias[None])

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:  # noqa: ANN401
        own = {"embeddings.position_embeddings.weight": self.bert.embeddings.position_embeddings.weight}
        return self.bert.load_state_dict({**state, **own}, strict=strict)
