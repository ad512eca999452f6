"""A conversation: messages, the model's own template, and a session that keeps what was evaluated.

`messages` is a plain list that may be edited at any time; the next send() evaluates what the edit changed and no more.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._errors import ArgumentError
from ._generate import Generation, Run
from ._sampling import Sampling, merged
from ._session import KvType, Session
from ._text import check_stops

if TYPE_CHECKING:
    from ._model import Model

RESERVED = ("messages", "add_generation_prompt", "bos_token", "eos_token", "tools")


class Chat:
    """Made by Model.chat(). A context manager.

        chat = model.chat(system="Be brief.")
        for piece in chat.send("Why is the sky blue?"):
            print(piece, end="")
        del chat.messages[-2:]          # take the last question and answer back
    """

    def __init__(
        self,
        model: Model,
        system: str | None,
        *,
        n_ctx: int | None,
        kv_type: KvType | None,
        template: str | None,
        tools: Sequence[Any] | None,
        options: Mapping[str, Any],
    ) -> None:
        from ._template import compiled, template_text  # here: text generation alone needs no jinja2

        for name in options:
            if name in RESERVED:
                raise ArgumentError(f"{name}: the chat gives this to the template itself")
        self.messages: list[dict[str, Any]] = []   # {"role": "system" | "user" | "assistant" | ..., "content": text}
        if system is not None:
            self.messages.append({"role": "system", "content": system})
        self.model = model
        self._template = template_text(model, template)
        compiled(self._template)   # a template that is no jinja is an error now, not at the first message
        self._values = {**options, **({} if tools is None else {"tools": list(tools)})}
        self.session = Session(model, n_ctx, kv_type)
        self._last: weakref.ref[Generation] | None = None

    def send(
        self,
        content: str | None = None,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        sampling: Sampling | None = None,
        **fields: object,
    ) -> Generation:
        """Add a message of the user and return the answer as it is made (see Model.generate).

        None: answer `messages` as they stand. The answer is added to `messages` when it ends, as far as it got. After
        an error, or when it was stopped before its first token, neither it nor the question is there. An answer that
        still runs is closed first.
        ContextError when the conversation no longer fits: delete old messages, or open the chat with a larger n_ctx.
        """
        options, stops = merged(sampling, fields), check_stops(stop)
        last = self._last() if self._last else None
        if last is not None:
            last.close()
        added = [] if content is None else [{"role": "user", "content": content}]
        if not self.messages and not added:
            raise ArgumentError("there is no message to answer: send a text, or put one into messages")
        ids = self.prompt_ids([*self.messages, *added])
        if not self.session.closed and not self.session.n_past:
            ahead = self.model._take_ahead(ids, self.session.n_ctx, self.session.kv_type)
            if ahead is not None:
                self.session.close()
                self.session = ahead
        run = Run(self.session, ids, max_tokens=max_tokens, stops=stops, sampling=options, owned=False)
        self.messages += added
        run.is_answer = True
        run.on_end = lambda ended: self._answered(ended, added)
        generation = Generation(run)
        self._last = weakref.ref(generation)
        return generation

    def prompt_ids(self, messages: Sequence[Mapping[str, Any]] | None = None) -> list[int]:
        """Return the ids that the model sees before it answers `messages` (default: those of the chat).

        Control tokens spelled out in a message are plain text.
        """
        from ._template import prompt_ids

        values = {**self._values, "add_generation_prompt": True}
        return prompt_ids(self.model, self._template, self.messages if messages is None else messages, values)

    def _answered(self, run: Run, added: list[dict[str, Any]]) -> None:
        if run.stop_reason != "error" and (run.ids or run.stop_reason != "cancelled"):
            self.messages.append({"role": "assistant", "content": run.text})
            return
        for message in added:
            self.messages[:] = [kept for kept in self.messages if kept is not message]

    def close(self) -> None:
        """Stop an answer that runs, and free the session; `messages` stay."""
        last = self._last() if self._last else None
        if last is not None:
            last.close()
        self.session.close()

    def __enter__(self) -> Chat:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<gemel.Chat with {self.model.name!r}: {len(self.messages)} messages>"
