"""A prompt is evaluated while its model loads: each layer as soon as it is complete.

At the last byte, only what it completed is left to compute. The session has the same bits as one that evaluates after
loading.
"""

from __future__ import annotations

from ..core.errors import ArgumentError, ContextError, counted
from ..source.progress import Progress
from ..text.ids import id_bytes
from .core_model import PROMPT, CoreModel
from .session import Session


class Preload:
    """One prompt in a session of a model that is loading. The session is opened when the core can do it."""

    def __init__(self, model: CoreModel, prompt: PROMPT, on_progress: Progress | None) -> None:
        ids = model.prompt_ids(prompt)
        if not ids:
            raise ArgumentError("the prompt is empty: leave it out, or pass text, ids or messages")
        if len(ids) > model.n_ctx:
            raise ContextError(f"the file's limit is {model.n_ctx}, but the prompt has {len(ids)} tokens: shorten it")
        self.session: Session | None = None
        self._ids = id_bytes(ids, model.n_vocab)
        self._model = model
        self._on_progress = on_progress
        self._done = 0

    def step(self, n_layers: int) -> bool:
        """Evaluate one more of the first `n_layers` layers, which are complete; False when all of them are done."""
        if self._done >= n_layers:
            return False
        self._evaluate(self._done + 1)
        return self._done < n_layers

    def finish(self) -> bool:
        """The model is complete: evaluate one more layer, or the output; False when the session has logits."""
        session = self._evaluate(min(self._done + 1, self._model.n_layer))
        return not session.n_past

    def _evaluate(self, n_layers: int) -> Session:
        session, lent = self._opened(), self._model._library.lend(self._ids)
        where = f"evaluating {counted(len(self._ids), 'id')} while loading"
        self._done = session._run("gemel_session_preload", lent, len(self._ids), n_layers, where=where)
        if self._on_progress:
            self._on_progress("prefill", self._done, self._model.n_layer)
        return session

    def _opened(self) -> Session:
        if self.session is None:
            model = self._model
            self.session = Session(model, min(max(model.default_n_ctx, len(self._ids)), model.n_ctx))
        return self.session
