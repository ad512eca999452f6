"""Answers with calls of tools, and what their functions return, until an answer has no call."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.checks import callback, flag, not_whole
from ..core.closing import Closing
from ..core.errors import AnswerError, ArgumentError, counted
from ..core.scalars import whole
from ..dialect.parts import Part, ToolCall
from ..tools.results import result_text
from ..tools.tool import Tool
from .generation import Generation, Parts

REFUSED = "error: the user refused this call"
OnCall = Callable[[ToolCall], bool | None]


@dataclass(frozen=True)
class _Wanted:
    """A call whose result is wanted."""

    tool: Tool
    call: ToolCall


class Rounds(Closing):
    """Made by Chat.run(): parts of answers, and results of calls, by `for` or `async for`.

    Attributes:
        generation: the answer that is being written, or the last one; None: none was begun
        n_rounds: answers that called tools
    """

    copy_hint = "keep its text and the chat's messages"

    def __init__(
        self, send: Callable[..., Generation], messages: list[dict[str, Any]], content: str | None,
        tools: tuple[Tool, ...], options: Mapping[str, Any], *, max_rounds: int, on_call: OnCall | None,
        raise_errors: bool,
    ) -> None:  # fmt: skip
        limit = whole(max_rounds)
        if limit is None or limit < 1:
            raise not_whole("max_rounds", max_rounds, "an integer of at least 1")
        without = [tool.name for tool in tools if tool.function is None]
        if without or not tools:
            words = f"{without[0]!r} has no function" if without else "the list is empty"
            raise ArgumentError(f"tools: {words}: run() needs functions to call; send() only returns the calls")
        callback("on_call", on_call)
        self.generation: Generation | None = None
        self.n_rounds = 0
        self._send, self._messages, self._options = send, messages, dict(options)
        self._tools = {tool.name: tool for tool in tools}
        self._limit, self._on_call, self._raises = limit, on_call, flag("raise_errors", raise_errors)
        self._ready: deque[Part] = deque()
        self._script = self._run(content)

    @property
    def text(self) -> str:
        """The text of the last answer so far."""
        return "" if self.generation is None else self.generation.text

    def read(self) -> str:
        """Run to the end and return the text of the last answer."""
        for _ in self:
            pass
        return self.text

    def _run(self, content: str | None) -> Generator[Part | _Wanted | None, str, None]:
        """Yield parts, calls that are answered by what is sent, and None between two steps."""
        choice = self._options.pop("tool_choice", None)
        while True:
            options = {**self._options, "tool_choice": "none" if self.n_rounds == self._limit else choice}
            self.generation = generation = self._send(content, tools=tuple(self._tools.values()), **options)
            parts = Parts(generation)
            while (piece := generation.step()) is not None:
                yield from parts.taken(piece)
                yield None
            yield from parts.taken(None)
            calls, reader = generation.calls, generation._run.answer.reader
            if generation.stop_reason == "length" and reader is not None and reader.kind == "call":
                raise AnswerError(f"a call was cut after {counted(len(generation.ids), 'token')}: allow more")
            if not calls:
                return
            self.n_rounds += 1
            for call in calls:
                text = yield _Wanted(self._tools[call.name], call)
                self._messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
                yield Part("result", text, call)
            content, choice = None, "auto"   # a tool that must be called was

    def _begun(self, wanted: _Wanted) -> Any:  # noqa: ANN401
        """Call a tool; return what it returned, or the text of why it did not."""
        if self._on_call is not None and self._on_call(wanted.call) is False:
            return REFUSED
        try:
            return wanted.tool.call(wanted.call.values)
        except Exception as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> str:
        if self._raises:
            raise error
        return f"error: {type(error).__name__}: {error}"

    def __iter__(self) -> Rounds:
        return self

    def __next__(self) -> Part:
        sent: str | None = None
        while True:
            found = next(self._script) if sent is None else self._script.send(sent)
            sent = None
            if isinstance(found, Part):
                return found
            if found is None:
                continue
            result = self._begun(found)
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise ArgumentError(f"tools: {found.call.name} is asynchronous: use `async for`")
            sent = result_text(result, found.call.name)

    def __aiter__(self) -> Rounds:
        return self

    async def __anext__(self) -> Part:
        sent: str | None = None
        while True:
            try:
                found = next(self._script) if sent is None else self._script.send(sent)
            except StopIteration:
                raise StopAsyncIteration from None
            sent = None
            if isinstance(found, Part):
                return found
            if found is None:
                assert self.generation is not None
                await aiter(self.generation)._turn()
                continue
            result = self._begun(found)
            if inspect.isawaitable(result):
                try:
                    result = await result
                except Exception as error:
                    result = self._failed(error)
            sent = result_text(result, found.call.name)

    def close(self) -> None:
        """Stop the answer that is being written."""
        self._script.close()
        if self.generation is not None:
            self.generation.close()
