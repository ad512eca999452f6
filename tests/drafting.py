"""What tests of drafts share; above all how many ids a model evaluates ahead: none, as many as pay, or always all.

Only as many as pay depends on times.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gemel
from gemel.core import abi
from gemel.core.library import check

PROMPT = "Once the other there, once the other was there and once the other"
FEW: dict[str, Any] = {"logit_bias": {97: 9.0, 101: 9.5, 116: 9.0}}   # letters that the model then repeats
SAMPLINGS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "warm": {"temperature": 0.7},
    "hot": {"temperature": 2, "top_k": 0, "top_p": 1, "min_p": 0},
    "narrow": {"temperature": 1, "top_k": 3, "typical_p": 0.9, "xtc_probability": 0.5},
    "penalised": {"temperature": 0.5, "repeat_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.1},
    "dry": {"temperature": 0.5, "dry_multiplier": 0.8, "dry_breakers": [" "]},
    "biased": {"temperature": 0.5, "logit_bias": {101: 9.0, 116: 9.0}, "frequency_penalty": 0.5},
    "mirostat": {"temperature": 1, "mirostat": 2, "mirostat_tau": 1},
}
FORMS: dict[str, dict[str, Any]] = {
    "none": {},
    "grammar": {"grammar": 'root ::= ("te" [at] "e" | [a-z])*'},
    "schema": {"json_schema": {"type": "array", "minItems": 9, "items": {"enum": ["ta", "te", "eat"]}}},
}


def set_draft(model: gemel.Model, draft: int) -> None:
    """Set gemel_draft."""
    with model._handle as address:
        check(model._library, model._library.call("gemel_model_set_draft", address, draft), "draft")


@contextmanager
def drafting(model: gemel.Model, draft: int) -> Iterator[None]:
    """Set gemel_draft for a while."""
    set_draft(model, draft)
    try:
        yield
    finally:
        set_draft(model, abi.DRAFT_NONE)   # as the fixtures have it


def bits(values: object) -> bytes:
    return bytes(memoryview(values).cast("B"))   # type: ignore[arg-type]


def with_cache(model: gemel.Model, draft: int, kv_type: gemel.KvType, max_tokens: int) -> list[object]:
    """Return an answer's text, ids, and logits, and its session's state, with a type of cache."""
    with drafting(model, draft), model.session(200, kv_type=kv_type) as session:
        answer = session.generate(PROMPT, temperature=0.4, seed=3, max_tokens=max_tokens, **FEW)
        return [answer.read(), answer.ids, bits(session.logits()), session.save()]


def cut_and_gone_on(model: gemel.Model, draft: int) -> list[object]:
    """Return the answers and states of a session that is cut, forked and restored between them."""
    found: list[object] = []
    with drafting(model, draft), model.session(256) as session:
        for i in range(5):
            answer = session.generate(PROMPT * (1 + i % 2), temperature=0.3, seed=i, max_tokens=10 + i, **FEW)
            found.append(answer.read())
            session.truncate(session.n_past - i)
            session.append(answer.ids[:3])
            with session.fork() as fork:
                found.append(fork.generate(fork.ids, temperature=0.3, seed=i, max_tokens=20, **FEW).read())
            saved = session.save()
            session.generate(session.ids, max_tokens=9, temperature=0, **FEW).read()
            session.restore(saved)
            again = session.generate(session.ids, max_tokens=9, temperature=0, **FEW)
            found.append((again.read(), session.ids, session.save()))
    return found
