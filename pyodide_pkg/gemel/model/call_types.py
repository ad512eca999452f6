"""What the keywords of calls are, for type checkers: the fields of Sampling, and the names that other programs use.

    from typing import Unpack
    def shout(prompt: str, **options: Unpack[gemel.CallFields]) -> str:
        return model.generate(prompt, **options).read().upper()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import SupportsFloat, SupportsIndex, TypedDict

from .grammar import Grammar, Schema

Float = float | SupportsFloat   # Python's and numpy's numbers
Int = int | SupportsIndex


class SamplingFields(TypedDict, total=False):
    """The fields of gemel.Sampling as keywords; repetition_penalty is another name of repeat_penalty."""

    temperature: Float
    top_k: Int
    top_p: Float
    min_p: Float
    typical_p: Float
    repeat_penalty: Float
    repetition_penalty: Float
    frequency_penalty: Float
    presence_penalty: Float
    penalty_last_n: Int
    dry_multiplier: Float
    dry_base: Float
    dry_allowed_length: Int
    dry_last_n: Int
    dry_breakers: Sequence[str]
    xtc_probability: Float
    xtc_threshold: Float
    mirostat: Int
    mirostat_tau: Float
    mirostat_eta: Float
    seed: Int | None
    logit_bias: Mapping[int, float]


class CallFields(SamplingFields, total=False):
    """SamplingFields; grammar, regex, choices or json_schema, and how to follow it; other names of max_tokens and stop.

    Attributes:
        fast_forward: evaluate ahead what the grammar forces: the answer is the same, and sooner there
        close_at_max_tokens: near max_tokens, allow only what leaves enough tokens to end the value
    """

    max_new_tokens: Int | None
    max_completion_tokens: Int | None
    n_predict: Int | None
    stop_sequences: str | Sequence[str] | None
    grammar: str | Grammar | None
    regex: str | None
    choices: Sequence[str] | None
    json_schema: Schema | None
    strict: bool | None
    fast_forward: bool | None
    close_at_max_tokens: bool | None
