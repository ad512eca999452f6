"""Text before and after a gap becomes a prompt for the text between, for models that have tokens for that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import gemel

from ..http.errors import refused
from .answer import Prompt, Prompts

# The keys of a token's id in a file, and its texts in files that lack them.
BEFORE = (
    ("fim_pre", "prefix"),
    ("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<PRE>", "▁<PRE>", "<｜fim▁begin｜>", "<|code_prefix|>"),
)
AFTER = (
    ("fim_suf", "suffix"),
    ("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<SUF>", "▁<SUF>", "<｜fim▁hole｜>", "<|code_suffix|>"),
)
MIDDLE = (
    ("fim_mid", "middle"),
    ("<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<MID>", "▁<MID>", "<｜fim▁end｜>", "<|code_middle|>"),
)
CONTROL = 3   # the type of such tokens in files
SNIPPET = "\n\n--- snippet ---\n\n"   # before each further text


@dataclass(frozen=True)
class Gap:
    """The tokens that surround the parts of such a prompt."""

    before: int
    after: int
    middle: int


def gap_of(model: gemel.Model) -> Gap | None:
    """Return a model's tokens; None: it has none."""
    found = [_token(model, *row) for row in (BEFORE, AFTER, MIDDLE)]
    return None if None in found else Gap(*(id for id in found if id is not None))


def _token(model: gemel.Model, keys: Sequence[str], texts: Sequence[str]) -> int | None:
    for key in keys:
        id = model.metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(id, int) and 0 <= id < model.n_vocab:
            return id
    for text in texts:
        ids = model.tokenize(text, special=True)
        if len(ids) == 1 and model.is_control(ids[0]):
            return ids[0]
    return None


def has_gap(metadata: gemel.Metadata) -> bool:
    """Tell whether the model of a file has these tokens, as gap_of does of one that is open."""
    texts, kinds = metadata.get("tokenizer.ggml.tokens", []), metadata.get("tokenizer.ggml.token_type", [])
    if not isinstance(texts, list) or not isinstance(kinds, list):
        return False
    control = {text for text, kind in zip(texts, kinds, strict=False) if kind == CONTROL}

    def has(keys: Sequence[str], names: Sequence[str]) -> bool:
        ids = [metadata.get(f"tokenizer.ggml.{key}_token_id") for key in keys]
        return any(isinstance(id, int) and 0 <= id < len(texts) for id in ids) or not control.isdisjoint(names)

    return all(has(*row) for row in (BEFORE, AFTER, MIDDLE))


def infill(before: str, after: str, *, param: str, begun: str = "", others: Sequence[str] = ()) -> Prompts:
    """Return a function that makes the prompt. begun: how the text between begins. others: texts before all that.

    param: the request's parameter, which a 400 names for a model without such tokens.
    """

    def prompts(model: gemel.Model) -> Iterator[Prompt]:
        gap = gap_of(model)
        if gap is None:
            raise refused(param, "this model has no tokens for text that is inserted: leave it out")
        bos = [model.bos_id] if model.adds_bos and model.bos_id is not None else []
        context = model.tokenize("".join(SNIPPET + text for text in others))
        parts = [gap.before, *model.tokenize(before), gap.after, *model.tokenize(after), gap.middle]
        yield [*bos, *context, *parts, *model.tokenize(begun)]

    return prompts
