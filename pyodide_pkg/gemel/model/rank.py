"""A query and documents become scores: how well each document answers the query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from ..core import abi
from ..core.checks import text
from ..core.errors import ArgumentError, ContextError, UnsupportedError
from ..core.public import public
from .core_model import CoreModel
from .embed import Pooling

SEPARATED = ("jina-v1-en", "jina-v2-code", "roberta-bpe")   # pre-tokenizers whose pairs have a separator by default
_POOLINGS = {abi.POOLING_MEAN: "mean", abi.POOLING_CLS: "first", abi.POOLING_LAST: "last"}


@public
@dataclass(frozen=True)
class Ranked:
    """A document's place in what Model.rerank returned.

    Attributes:
        index: of the document, in the list that was passed
        score: higher is better; by default the chance that the document answers the query, from 0 to 1
    """

    index: int
    score: float


@dataclass(frozen=True)
class Pair:
    """The ids of a query and a document. types: which of the two each belongs to, 0 or 1; empty: no difference."""

    ids: list[int]
    types: list[int]


def check_ranks(model: CoreModel) -> None:
    """Raise UnsupportedError unless a model scores documents for a query."""
    n = model._get(abi.MODEL_N_SCORES)
    if not n:
        raise UnsupportedError("this model has no classifier (cls.output.weight): open a reranker")
    if n != (1 if model.is_encoder else 2):
        wanted = "one score" if model.is_encoder else "scores of yes and no"
        raise UnsupportedError(f"the classifier of this model has {n} scores; a reranker of its kind has {wanted}")


def rank_pooling(model: CoreModel) -> Pooling:
    """Return how the row that the classifier reads is pooled."""
    return cast("Pooling", _POOLINGS[model._get(abi.MODEL_RANK_POOLING)])


def score_of(model: CoreModel, row: Sequence[float], as_chance: bool) -> float:
    """Return a document's score from its pooled row: the only one, or that of yes, less that of no unless a chance."""
    found = model._rank(row, as_chances=as_chance)
    return found[0] if as_chance or len(found) == 1 else found[0] - found[1]


def pair_of(model: CoreModel, query: str, document: str) -> Pair:
    """Return the ids of a query and a document: by the file's template "rerank", or with its special tokens."""
    text("query", query), text("document", document)
    check_ranks(model)
    template = model.chat_templates.get("rerank")
    pair = _by_tokens(model, query, document) if template is None else _by_template(model, template, query, document)
    if not pair.ids:
        raise ArgumentError("the query and the document have no tokens: there is nothing to rank")
    if len(pair.ids) > model.n_ctx:
        words = f"n_ctx is {model.n_ctx}, but the query and the document have {len(pair.ids)} tokens"
        raise ContextError(f"{words}: split the document, and rank the parts")
    return pair


def _by_template(model: CoreModel, template: str, query: str, document: str) -> Pair:
    """Fill a template. Control tokens that are spelled out in the texts stay text."""
    from ..text.prompt import guard, marks, segments

    opening, closing, _ = marks(template, [{"query": query, "document": document}])
    texts = {
        "{query}": guard(model, model.is_control, query, opening, closing),
        "{document}": guard(model, model.is_control, document, opening, closing),
    }   # fmt: skip
    filled = re.sub(r"\{(?:query|document)\}", lambda found: texts[found[0]], template)
    ids = [id for part, special in segments(filled, opening, closing) for id in model.tokenize(part, special=special)]
    return Pair(ids, [])


def _by_tokens(model: CoreModel, query: str, document: str) -> Pair:
    start = [model.bos_id] if model.adds_bos and model.bos_id is not None else []
    end = [model.eos_id] if model.adds_eos and model.eos_id is not None else []
    first = [*start, *model.tokenize(query), *end, *_separator(model)]
    second = [*model.tokenize(document), *end]
    has_types = model._get(abi.MODEL_N_TYPES) > 1
    return Pair(first + second, [0] * len(first) + [1] * len(second) if has_types else [])


def _separator(model: CoreModel) -> list[int]:
    """Return the separator of pairs, beside the ends of texts, where the file asks for one."""
    said, pre = model.metadata.get("tokenizer.ggml.add_sep_token"), model.metadata.get("tokenizer.ggml.pre")
    id = model.metadata.get("tokenizer.ggml.seperator_token_id")
    is_wanted = pre in SEPARATED if said is None else bool(said)
    return [id] if is_wanted and isinstance(id, int) and 0 <= id < model.n_vocab else []
