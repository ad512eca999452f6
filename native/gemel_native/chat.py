"""`gemel chat`: a conversation at the terminal. Lines that begin with / are commands; the rest goes to the model."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import gemel
import typer
from gemel import Overrides

from .answers import cut_note, fault, speeds_line, stream
from .forms import with_form
from .line_editor import LineEditor
from .opening import check_ctx, opened
from .options import (
    ContextOption,
    DraftOption,
    IsaOption,
    KvTypeOption,
    MaxTokensOption,
    ModelArgument,
    NoDraftOption,
    ReasoningOption,
    StopOption,
    SystemOption,
    ThreadsOption,
    draft_of,
    with_sampling,
)
from .output import counted, printable, say, say_error
from .overrides import with_overrides

HISTORY_HELP = "Keep what you type at the terminal for the next time."
FENCE = '"""'   # begins and ends a message of several lines


@with_sampling
@with_form
@with_overrides
def chat(
    name: ModelArgument,
    *,
    system: SystemOption = None,
    max_tokens: MaxTokensOption = None,
    reasoning_budget: ReasoningOption = None,
    stop: StopOption = None,
    ctx: ContextOption = None,
    kv_type: KvTypeOption = None,
    draft: DraftOption = None,
    no_draft: NoDraftOption = False,
    speeds: Annotated[bool, typer.Option("--speeds", help="Print a line of speeds after each answer.")] = False,
    history: Annotated[bool, typer.Option("--history/--no-history", help=HISTORY_HELP)] = True,
    threads: ThreadsOption = None,
    isa: IsaOption = None,
    overrides: Overrides,
    form: dict[str, Any],
    sampling: gemel.Sampling,
) -> None:
    """Hold a conversation with a model.

    /help lists the commands. Ctrl-C stops an answer, Ctrl-D exits.
    """
    with opened(name, threads=threads, isa=isa, draft=draft_of(draft, no_draft), overrides=overrides) as loaded:
        check_ctx(loaded.model, ctx)
        with loaded.model.chat(system, n_ctx=ctx, kv_type=kv_type) as conversation:
            repl = Repl(
                conversation, sampling=sampling, max_tokens=max_tokens, reasoning_budget=reasoning_budget,
                stop=stop or [], speeds=speeds, form=form, keeps=history,
            )  # fmt: skip
            repl.run()


class Repl:
    """Reads messages and prints answers until the input ends or /exit."""

    def __init__(
        self,
        chat: gemel.Chat,
        *,
        sampling: gemel.Sampling,
        max_tokens: int | None = None,
        reasoning_budget: int | None = None,
        stop: list[str] | None = None,
        speeds: bool = False,
        form: Mapping[str, Any] | None = None,
        keeps: bool = False,
    ) -> None:
        self.chat = chat
        self._keeps = keeps   # prompts, for the next time
        self._sampling = sampling
        self._max_tokens = max_tokens
        self._reasoning_budget = reasoning_budget
        self._stop = stop or []
        self._speeds = speeds
        self._form: Any = form or {}
        self._terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._ended = False
        self._commands: dict[str, tuple[str, Callable[[str], None]]] = {
            "/help": ("list the commands", self._help),
            "/reset": ("forget the conversation, except the system message", self._reset),
            "/system": ("show the system message; with TEXT, replace it", self._system),
            "/save": ("write the conversation to FILE (JSON)", self._save),
            "/load": ("continue the conversation in FILE", self._load),
            "/exit": ("exit, as Ctrl-D does", self._exit),
        }

    def run(self) -> None:
        """Run until the input ends."""
        if not self._terminal:
            self._loop()
            return
        model = self.chat.model
        size = f"{model.n_params / 1e6:.4g} M parameters, a context of {self.chat.session.n_ctx} tokens"
        say(f"{printable(model.name)}: {size}")
        say("/help lists the commands; Ctrl-C stops an answer, Ctrl-D exits")
        with LineEditor(list(self._commands), keeps=self._keeps):
            self._loop()
        if not self._ended:
            say("")

    def _loop(self) -> None:
        while not self._ended:
            try:
                message = self._read()
            except EOFError:
                break
            except KeyboardInterrupt:
                say("\n(use Ctrl-D or /exit to exit)")
                continue
            self.handle(message)

    def handle(self, message: str) -> None:
        """Answer a message or run a command. Errors are printed, and the conversation goes on."""
        try:
            if message.startswith("/"):
                self._run_command(message)
            elif message.strip():
                self._answer(message)
        except KeyboardInterrupt:
            say("(stopped)")
        except gemel.ContextError as error:
            say_error(f"{error}; /reset starts over, --ctx sets a larger context")
        except (gemel.GemelError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            say_error(error)

    def _read(self) -> str:
        """Return the next message. EOFError at the end of the input."""
        line = self._input("> ")
        if not line.startswith(FENCE):
            return line
        text = line.removeprefix(FENCE)
        while not text.rstrip().endswith(FENCE):
            text += "\n" + self._input("... ")
        return text.rstrip().removesuffix(FENCE).strip("\n")

    def _input(self, prompt: str) -> str:
        try:
            return input(prompt if self._terminal else "")
        except UnicodeDecodeError as error:
            raise gemel.ArgumentError(f"stdin is not UTF-8: {error.reason} at offset {error.start}") from error

    def _answer(self, message: str) -> None:
        generation = self.chat.send(
            message, max_tokens=self._max_tokens, stop=self._stop, sampling=self._sampling,
            reasoning_budget=self._reasoning_budget, **self._form,
        )  # fmt: skip
        with generation:
            stream(generation)
        hint = "--ctx; /reset starts over"
        note = cut_note(
            generation, self.chat.session.n_ctx, self._max_tokens, has_form=bool(self._form), hint=hint
        )
        if note:
            say(note)
        if self._speeds:
            say(speeds_line(generation))
        wrong = fault(generation, self._form)
        if wrong is not None:
            raise wrong

    def _run_command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        command = self._commands.get(name.rstrip())
        if command is None:
            names = " ".join(self._commands)
            say_error(f"unknown command {name}: {names}; put a space before a message that begins with /")
            return
        command[1](rest.strip())

    # ---- Commands ---------------------------------------------------------------------------------------------------

    def _help(self, _: str) -> None:
        for name, (words, _command) in self._commands.items():
            say(f"{name:8} {words}")
        say(f'{FENCE:8} begins and ends a message of several lines')
        say(f"{'Ctrl-C':8} stops an answer; the text so far is kept")

    def _reset(self, _: str) -> None:
        self.chat.messages[:] = [message for message in self.chat.messages if message["role"] == "system"]
        say("(forgotten)")

    def _system(self, text: str) -> None:
        messages = self.chat.messages
        has_system = bool(messages) and messages[0]["role"] == "system"
        if not text:
            say(printable(messages[0]["content"]) if has_system else "(there is no system message)")
            return
        messages[: 1 if has_system else 0] = [{"role": "system", "content": text}]
        say("(the system message is set)")

    def _save(self, name: str) -> None:
        path = _path_of(name, "/save")
        if path.exists():
            read_conversation(path)   # raises for other files: only saved conversations are overwritten
        note = {"model": self.chat.model.name, "messages": self.chat.messages}
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)
        say(f"({counted(len(self.chat.messages), 'message')} in {printable(str(path))})")

    def _load(self, name: str) -> None:
        self.chat.messages[:] = read_conversation(_path_of(name, "/load"))
        say(f"({counted(len(self.chat.messages), 'message')})")

    def _exit(self, _: str) -> None:
        self._ended = True


def _path_of(name: str, command: str) -> Path:
    if not name:
        raise gemel.ArgumentError(f"{command} needs a file name")
    return Path(os.path.expanduser(os.path.expandvars(name)))   # noqa: PTH111  # Path's raises for unknown users


def read_conversation(path: Path) -> list[dict[str, Any]]:
    """Return the messages of a saved conversation. ArgumentError for any other file."""
    if not path.is_file():
        raise gemel.ArgumentError(f"{path} is not a file")
    try:
        messages = json.loads(path.read_text(encoding="utf-8"))["messages"]
        if not isinstance(messages, list):
            raise TypeError
        return [
            {**message, "role": _text(message["role"]), "content": _text(message["content"])} for message in messages
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise gemel.ArgumentError(f"{path} is not a conversation file (/save writes one)") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
