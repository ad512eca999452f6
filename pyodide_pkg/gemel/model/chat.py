"""A conversation: messages, the model's own template, and a session that keeps what was evaluated.

`messages` is a plain list that may be edited at any time; the next send() evaluates only what the edit changed.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Unpack, overload

from ..core.checks import text_or_none, wrong_type
from ..core.closing import Closing
from ..core.errors import ArgumentError, ContextError, StateError
from ..core.public import public
from ..source.saved import write_whole
from ..text.messages import Ending, continues, plain
from ..tools.given import ToolLike, tools_of
from .answer import Answer
from .call_options import OF_SEND, call_options, check_template_options
from .call_types import CallFields
from .chat_file import SavedChat, pack
from .core_model import CoreModel
from .generation import Generation, Run
from .kv import KvType
from .rounds import OnCall, Rounds
from .sampling import Sampling
from .session import Session, TakePreloaded, check_n_ctx
from .turn import ToolChoice, ToolOptions, tool_options, turn_of


@public
class Chat(Closing):
    """Made by Model.chat(). A context manager.

    Attributes:
        messages: a list of {"role": "system" | "user" | "assistant" | ..., "content": text}, which you may edit
        model: the Model it belongs to
        session: the Session that holds what was evaluated

        chat = model.chat(system="Be brief.")
        for piece in chat.send("Why is the sky blue?"):
            print(piece, end="")
        del chat.messages[-2:]          # undo the last question and answer
    """

    copy_hint = "save() it, and resume_chat() what was saved"

    def __init__(
        self,
        model: CoreModel,
        system: str | None,
        *,
        n_ctx: int | None,
        kv_type: KvType | None,
        template: str | None,
        tools: Sequence[ToolLike] | None,
        options: Mapping[str, Any],
        take_preloaded: TakePreloaded,
    ) -> None:
        from ..text.template import compiled, template_text, template_values  # here: generate() needs no jinja2

        text_or_none("system", system)
        self.messages: list[dict[str, Any]] = []
        if system is not None:
            self.messages.append({"role": "system", "content": system})
        self.model = model
        self._template = template_text(model, template, tools)
        parsed = compiled(self._template)   # an invalid template is an error now, not at the first message
        self._options = tuple(options)   # names
        self._tools = tools_of(tools)
        self._values = template_values(None, options)
        check_template_options(options, parsed.names)
        self._take_preloaded = take_preloaded
        self.session = Session(model, n_ctx, kv_type)
        self._last: weakref.ref[Generation] | None = None

    def send(
        self,
        content: str | None = None,
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        sampling: Sampling | None = None,
        continue_final_message: bool | None = None,
        add_generation_prompt: bool | None = None,
        tools: Sequence[ToolLike] | None = None,
        tool_choice: ToolChoice | None = None,
        parallel_tool_calls: bool | None = None,
        reasoning_budget: int | None = None,
        **fields: Unpack[CallFields],
    ) -> Generation:
        """Add a user's message and return the answer as a generation (see Model.generate).

        None: answer `messages` as they are; a last message of the assistant's is continued, unless
        continue_final_message=False or add_generation_prompt=True. When the answer ends or is stopped, it is added to
        `messages`. After an error, or when it was stopped before its first token, neither answer nor question is kept.
        An answer that is still running is closed first.
        tools: what the model may call: typed functions, gemel.Tool, or OpenAI's dicts; None: those of the chat.
        Generation.calls has the calls: add their results to `messages`, or let run() do it. tool_choice: "auto",
        "required", "none" or the name of a tool. parallel_tool_calls=False: at most one call.
        reasoning_budget: the most tokens of reasoning, which is closed then; 0: none. A model without any is within it.
        ContextError when the conversation no longer fits: delete old messages, or open the chat with a larger n_ctx.
        """
        options = call_options(max_tokens, stop, sampling, fields, also=("content", *OF_SEND))
        ending = Ending(continue_final_message, add_generation_prompt)
        if content is not None and not isinstance(content, str | list | tuple):
            raise wrong_type("content", content, "a string, a list of text parts, or None")
        self._check_open()
        last = self._last() if self._last else None
        if last is not None:
            last.close()
        added = [] if content is None else [{"role": "user", "content": content}]
        if not self.messages and not added:
            raise ArgumentError("there is no message to answer: pass content to send(), or add to messages")
        asked = [*self.messages, *added]
        given = self._tools if tools is None else tools_of(tools)
        chosen = tool_options(given, tool_choice, parallel_tool_calls)
        turn = turn_of(self.model, asked, self._template, self._values, chosen, ending, reasoning_budget)
        if not self.session.closed and not self.session.n_past:
            preloaded = self._take_preloaded(turn.ids, self.session.n_ctx, self.session.kv_type)
            if preloaded is not None:
                self.session.close()
                self.session = preloaded
        goes_on = continues(asked, ending)
        run = Run(self.session, turn, options, owned=False)
        self.messages += added
        last_message = self.messages[-1] if goes_on else None
        run.on_end = lambda ended: self._answered(ended, added, last_message)
        generation = Generation(run)
        self._last = weakref.ref(generation)
        return generation

    def run(
        self,
        content: str | None = None,
        *,
        tools: Sequence[ToolLike] | None = None,
        max_rounds: int = 8,
        on_call: OnCall | None = None,
        raise_errors: bool = False,
        **options: Any,  # noqa: ANN401
    ) -> Rounds:
        """Answer as send() does, and call the functions of the tools that the model calls, until it calls none.

        Iterate over the result for parts: text, reasoning, calls and their results. With `async for`, functions may be
        asynchronous. `messages` gets the answers and the results.
        tools: functions with type hints, or gemel.Tool with a function; None: those of the chat. options: of send().
        max_rounds: answers that may call tools; the one after them may not.
        on_call(call): asked before each call; False refuses it, which the model reads as its result.
        An error that a function raises is its result, as "error: ..."; raise_errors=True: it is raised here instead.

        >>> def clock(zone: str) -> str:
        ...     "Tell the time in a time zone."
        ...     return "12:00"
        >>> chat = model.chat()
        >>> answer = chat.run("What time is it in Rome?", tools=[clock], max_tokens=20, seed=1).read()
        """
        given = self._tools if tools is None else tools_of(tools)
        return Rounds(
            self.send, self.messages, content, given, options, max_rounds=max_rounds, on_call=on_call,
            raise_errors=raise_errors,
        )  # fmt: skip

    @overload
    def save(self) -> bytes: ...
    @overload
    def save(self, path: str | os.PathLike[str]) -> None: ...
    def save(self, path: str | os.PathLike[str] | None = None) -> bytes | None:
        """Return the chat as bytes, or write it to `path` (whole or not at all); Model.resume_chat continues it.

        It holds messages, template, tools, the template's options, n_ctx, kv_type and what the session evaluated.
        Options of send() are not part of a chat: pass them again. Large: the session's KV cache is in it.
        ArgumentError while an answer runs; ArgumentTypeError for a message or tool that JSON can't hold.
        """
        self._check_open()
        last = self._last() if self._last else None
        if last is not None and last.stop_reason is None:
            raise ArgumentError("an answer is running: read() or close() it, then save the chat")
        options = {name: value for name, value in self._values.items() if name in self._options}
        facts = {
            "messages": self.messages, "template": self._template,
            "tools": [tool.as_json() for tool in self._tools] or None,
            "options": options, "n_ctx": self.session.n_ctx, "kv_type": self.session.kv_type,
        }   # fmt: skip
        data = pack(facts, self.session.save())
        if path is None:
            return data
        write_whole(path, data)
        return None

    def prompt_ids(
        self,
        messages: Sequence[Mapping[str, Any]] | None = None,
        *,
        continue_final_message: bool | None = None,
        add_generation_prompt: bool | None = None,
    ) -> list[int]:
        """Return the ids that the model sees before it answers `messages` (default: those of the chat).

        continue_final_message, add_generation_prompt: as in send().
        Control tokens that a message spells out are plain text.
        """
        given = self.messages if messages is None else messages
        ending = Ending(continue_final_message, add_generation_prompt)
        return turn_of(self.model, given, self._template, self._values, ToolOptions(self._tools), ending).ids

    def _check_open(self) -> None:
        if self.session.closed and not self.model.closed:
            raise ArgumentError("this chat is closed: open another one; `messages` are kept")

    def _answered(self, run: Run, added: list[dict[str, Any]], continued: dict[str, Any] | None) -> None:
        if continued is not None:
            before, rest = plain([continued])[0], message_of(run.answer)
            continued["content"] = before["content"] + run.answer.text
            if run.answer.reasoning:
                continued["reasoning_content"] = before.get("reasoning_content", "") + run.answer.reasoning
            if "tool_calls" in rest:
                continued["tool_calls"] = rest["tool_calls"]
            continued.pop("refusal", None)   # it has become the content's beginning
            return
        if run.stop_reason != "error" and (run.answer.ids or run.stop_reason != "cancelled"):
            self.messages.append(message_of(run.answer))
            return
        for message in added:
            self.messages[:] = [kept for kept in self.messages if kept is not message]

    def close(self) -> None:
        """Stop a running answer and free the session; `messages` are kept."""
        last = self._last() if self._last else None
        if last is not None:
            last.close()
        self.session.close()

    def __repr__(self) -> str:
        return f"<gemel.Chat with {self.model.name!r}: {len(self.messages)} messages>"


def message_of(answer: Answer) -> dict[str, Any]:
    """Return an answer as a message. A call that was cut is not part of it."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    calls = [call.as_json() for call in answer.calls if call.is_complete]
    return {**message, "tool_calls": calls} if calls else message


def resume(model: CoreModel, saved: SavedChat, n_ctx: int | None, take_preloaded: TakePreloaded) -> Chat:
    """Return the chat that was saved, with its session. StateError when it is another model's, or corrupt."""
    facts = saved.facts
    size = facts["n_ctx"] if n_ctx is None else check_n_ctx(model, n_ctx)
    if size > model.n_ctx:
        words = f"its n_ctx is {size}, but this model's limit is {model.n_ctx}"
        raise StateError(f"the saved chat belongs to another model: {words}")
    with model._handle:   # so that the errors below are about what was saved
        try:
            chat = Chat(
                model, None, n_ctx=size, kv_type=facts["kv_type"], template=facts["template"], tools=facts["tools"],
                options=facts["options"], take_preloaded=take_preloaded,
            )
        except (TypeError, ArgumentError) as error:
            raise StateError(f"the saved chat is corrupt: {error}") from error
    try:
        chat.session.restore(saved.session)
    except ContextError as error:
        chat.close()
        if size < facts["n_ctx"]:
            raise
        raise StateError("the saved chat is damaged: its session has more tokens than its n_ctx") from error
    except BaseException:
        chat.close()
        raise
    chat.messages += facts["messages"]
    return chat
