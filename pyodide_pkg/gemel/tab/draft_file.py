"""A file of n-grams that JavaScript holds, as bytes; what else may draft stays as it is."""

from __future__ import annotations

from typing import Any

from ..model.drafting import MAGIC, is_ngrams
from .blobs import ArraySource, BlobSource, is_array, is_blob
from .waiting import can_wait, wait_for


def with_bytes(draft: Any) -> Any:  # noqa: ANN401  # JavaScript's, or what Model.draft takes
    """Return the bytes of an array or Blob that is a file of n-grams, else `draft`.

    A Blob is read where Python may wait for the browser, or in a worker.
    """
    if is_blob(draft) and can_wait():
        return wait_for(with_bytes_async(draft))
    if not is_array(draft) and not is_blob(draft):
        return draft
    source = ArraySource(draft) if is_array(draft) else BlobSource(draft)
    begins = source.read(0, len(MAGIC)).to_bytes()
    return source.read(0, source.size).to_bytes() if is_ngrams(begins) else draft


async def with_bytes_async(draft: Any) -> Any:  # noqa: ANN401  # likewise
    """As with_bytes, in any thread."""
    if not is_blob(draft):
        return with_bytes(draft)
    begins = (await draft.slice(0, len(MAGIC)).arrayBuffer()).to_bytes()
    return (await draft.arrayBuffer()).to_bytes() if is_ngrams(begins) else draft
