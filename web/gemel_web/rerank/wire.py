"""Requests to rank documents as msgspec Structs. Responses are plain objects, made in api.py; errors are OpenAI's."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ..http.errors import Refusals, check_fields
from ..openai.wire import Count, WithoutEffect


class Document(Struct, forbid_unknown_fields=True):
    """A document that is an object."""

    text: str


class RankRequest(WithoutEffect, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/rerank, /v2/rerank, /rerank. null is the same as absent."""

    model: str | None = None   # absent or empty: the only model served
    query: str
    documents: list[str | Document]
    top_n: Count | None = None
    return_documents: bool | None = None   # absent: false
    # accepted, without effect on the answer
    priority: Any = None
    # refused unless they ask for nothing
    max_chunks_per_doc: Any = None
    max_tokens_per_doc: Any = None
    rank_fields: Any = None
    truncation: Any = None
    truncate: Any = None


NOTHING_IS_CUT = "documents are not truncated: split those that are too long"
REFUSED: Refusals = {
    "max_chunks_per_doc": ((1,), NOTHING_IS_CUT), "max_tokens_per_doc": ((), NOTHING_IS_CUT),
    "truncation": ((False,), NOTHING_IS_CUT), "truncate": ((False,), NOTHING_IS_CUT),
    "rank_fields": ((["text"],), "a document is a text, or an object with the member text: leave it out"),
}   # fmt: skip


def check_refused(body: RankRequest) -> None:
    """Raise a 400 for a field that is not supported and would change the answer."""
    check_fields(body, REFUSED)
