"""Log-probabilities of an answer's tokens for a page: each token's own, and those of the most likely in its place."""

from __future__ import annotations

from typing import Any

import gemel

MOST_TOP = 20   # alternatives of a token, as the server gives


class Logs:
    """The log-probabilities of an answer's tokens, noted as each is drawn, and those of the n most likely instead."""

    def __init__(self, model: gemel.Model, n: Any) -> None:  # noqa: ANN401
        if not isinstance(n, int) or isinstance(n, bool) or not 0 <= n <= MOST_TOP:
            raise gemel.ArgumentTypeError(f"top_logprobs={n!r:.50}: must be an integer from 0 to {MOST_TOP}")
        self._model = model
        self._n = min(n, model.n_vocab)
        self._drawn: list[list[tuple[int, float]]] = []   # of each token: its own, then the others'

    def log(self, session: gemel.Session, id: int) -> None:
        """Note a token while the session has the logits that it was drawn from."""
        ids = [id, *(session.likeliest(self._n) if self._n else [])]
        self._drawn.append(list(zip(ids, session.log_probs(ids), strict=True)))

    def of(self, n_ids: int) -> list[dict[str, Any]]:
        """Return the first tokens in the form of OpenAI's logprobs.content."""
        return [
            {**self._named(*own), "top_logprobs": [self._named(*one) for one in top]}
            for own, *top in self._drawn[:n_ids]
        ]

    def _named(self, id: int, logprob: float) -> dict[str, Any]:
        raw = self._model.piece(id, special=True)
        return {"token": raw.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(raw)}
