"""A prompt's prefill rides on a model's arrival: each layer is evaluated as soon as it is whole.

When the last byte is in, only what it completed is left to compute. The session holds the same bits as one that was
evaluated after loading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._errors import ArgumentError, ContextError
from ._library import check
from ._session import Session
from ._text import id_bytes

if TYPE_CHECKING:
    from ._model import Model
    from ._source import Progress

PROMPT = str | Sequence[int] | Sequence[Mapping[str, Any]]
"""A text, ids, or messages ({"role": ..., "content": ...}) for the file's chat template."""


def prompt_ids(model: Model, prompt: PROMPT) -> list[int]:
    """Return the ids that a generation from this prompt begins with: of generate, or of a chat for messages."""
    items: list[Any] = [prompt] if isinstance(prompt, str) else list(prompt)
    if not items:
        raise ArgumentError("the prompt is empty: leave it out, or give a text, ids or messages")
    if isinstance(prompt, str):
        return model._prompt_ids(prompt, special=False)
    if not any(isinstance(item, Mapping) for item in items):
        return items
    if not all(isinstance(item, Mapping) for item in items):
        raise ArgumentError("the prompt mixes messages with other things: give a text, ids or messages")
    from ._template import prompt_ids as rendered
    from ._template import template_text

    return rendered(model, template_text(model, None), items, {"add_generation_prompt": True})


class Ahead:
    """One prompt in a session of a model that is still arriving. The session is made when the core can make it."""

    def __init__(self, model: Model, prompt: PROMPT, on_progress: Progress | None) -> None:
        ids = prompt_ids(model, prompt)
        if len(ids) > model.n_ctx:
            raise ContextError(f"the prompt has {len(ids)} tokens, the file's limit is {model.n_ctx}: shorten it")
        self.session: Session | None = None
        self._ids = id_bytes(ids, model.n_vocab)
        self._model = model
        self._on_progress = on_progress
        self._done = 0

    def step(self, n_layers: int) -> bool:
        """Evaluate one layer more of the `n_layers` that are whole; False when all of those are done."""
        if self._done >= n_layers:
            return False
        self._evaluate(self._done + 1)
        return self._done < n_layers

    def finish(self) -> bool:
        """The model is whole: evaluate one layer more, or the output; False when the session holds its logits."""
        session = self._evaluate(min(self._done + 1, self._model.n_layer))
        return not session.n_past

    def _evaluate(self, n_layers: int) -> Session:
        session, library = self._opened(), self._model._library
        with session._using() as address, self._model._turn:
            session._revision += 1
            code = library.call("gemel_session_preload", address, library.lend(self._ids), len(self._ids), n_layers)
            self._done = check(library, code, f"evaluating {len(self._ids)} ids ahead")
        if self._on_progress:
            self._on_progress("prefill", self._done, self._model.n_layer)
        return session

    def _opened(self) -> Session:
        if self.session is None:
            model = self._model
            self.session = Session(model, min(max(model.default_n_ctx, len(self._ids)), model.n_ctx))
        return self.session
