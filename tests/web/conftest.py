"""What the server's tests share: an app with a tiny model, evaluated in a thread or in the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import gemel
import gemel_web
import pytest
from serving import Asked, Serve


@pytest.fixture
def serve(model: gemel.Model) -> Iterator[Serve]:
    """Make an app that serves the tiny model as "tiny"; keywords are fields of gemel_web.Config."""
    with ExitStack() as stack:

        def make(**config: Any) -> Asked:  # noqa: ANN401
            return stack.enter_context(Asked({"tiny": gemel_web.ServedModel(model, created=7)}, **config))

        yield make


@pytest.fixture(params=[True, False], ids=["thread", "loop"])
def asked(serve: Serve, request: pytest.FixtureRequest) -> Asked:
    """An app whose model is evaluated in a thread, as on a desktop, and in the loop, as in a tab."""
    return serve(threads=request.param)


@pytest.fixture
def app(serve: Serve) -> Asked:
    """An app as on a desktop."""
    return serve()


@pytest.fixture
def long(model: gemel.Model) -> dict[str, Any]:
    """A body whose answer has 400 tokens."""
    endless = {str(id): -100 for id in range(model.n_vocab) if model.is_eog(id)}
    return {"model": "tiny", "max_tokens": 400, "temperature": 0, "logit_bias": endless}
