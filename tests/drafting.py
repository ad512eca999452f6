"""How many ids a model evaluates ahead: none, as many as pay, or always all, which does not depend on times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gemel
from gemel.core import abi
from gemel.core.library import check


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
