"""The command `gemel`: its commands and exit codes.

    0    success
    1    an error of gemel or of the system: one line `error: ...` on stderr
    2    an invalid command line: the same, with a hint at --help
    130  Ctrl-C
    141  the reader of the output has gone
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import gemel
import typer
from typer.core import TyperGroup

from . import (
    bench,
    chat,
    doctor,
    draft_cache_cmd,
    embed_cmd,
    inspect_cmd,
    models_cmd,
    plugins,
    pull,
    rerank_cmd,
    run,
    score,
    tokenize_cmd,
)
from .options import UsageError
from .output import say, say_error, show_log
from .serving import demo, keys_cmd, remote, serve
from .streams import StdoutError, prepare_streams, silence

INTERRUPTED = 130
READER_GONE = 141
CUTOFF = 0.75   # how similar an option must be to an unknown one, of 1
AT_ITS_PLACE = "MODEL and the text have no option, only their place; write -- before a text that begins with -"
NO_GPU = "gemel computes on the CPU: leave it out"
CHATS = "gemel run answers once, and gemel chat talks: leave it out"
KV_TYPE = "--kv-type sets the type of both, keys and values"
OTHERS = (   # llama.cpp's options; what a command must have; what to do instead
    (("-m", "--model", "-p", "--prompt"), "PROMPT", AT_ITS_PLACE),
    (("-m", "--model", "-p", "--prompt"), "TEXT", AT_ITS_PLACE),
    (("-m", "--model"), "MODEL", "MODEL has no option, only its place: it is the first argument"),
    (("--cache-type-k", "--cache-type-v"), "--kv-type", KV_TYPE),
    (("--n-gpu-layers", "--gpu-layers"), "MODEL", NO_GPU),
)
ONE_DASH = {   # llama.cpp's names of one dash and several letters, which would be read as -c tk
    "-ctk": KV_TYPE, "-ctv": KV_TYPE, "-ngl": NO_GPU, "-np": "gemel serve has --parallel",
    "-cnv": CHATS, "-no-cnv": CHATS, "-fa": "attention needs no such choice here: leave it out",
}  # fmt: skip


class Group(TyperGroup):
    """The commands of gemel and of other packages; each error becomes a line and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401  # the Context of typer's own click
        """Return the names of the commands, those of other packages last."""
        names = list(self.commands)
        return names + sorted(set(plugins.found()) - set(names))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """Return a command by name, or None; a command of another package is loaded now."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        point = plugins.found().get(cmd_name)
        return None if point is None else plugins.command_of(point)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the command; turn errors, except those of usage, into a line and an exit code."""
        try:
            super().invoke(ctx)
        except KeyboardInterrupt:
            if sys.stderr.isatty():
                say("")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError as error:
            raise StdoutError(error) from None
        except gemel.ContextError as error:
            say_error(f"{error} (--ctx sets n_ctx)")
            raise typer.Exit(1) from None
        except (gemel.GemelError, OSError) as error:
            say_error(error)
            raise typer.Exit(1) from None

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Parse and run; exit with the code, or return it if `standalone_mode` is off."""
        prepare_streams()
        show_log()
        try:
            code = super().main(args, standalone_mode=False, **extra) or 0
            sys.stdout.flush()
        except StdoutError as error:
            silence()
            if not error.is_gone:
                say_error(error)
            code = READER_GONE if error.is_gone else 1
        except UsageError as error:
            where = error.ctx.command_path if error.ctx is not None else "gemel"
            told = one_dash(error, sys.argv[1:] if args is None else args)
            say_error(f"{told or message_of(error) + hint_at(error)} (see {where} --help)")
            code = 2
        except gemel.GemelError as error:   # of --version, which is read before a command is run
            say_error(error)
            code = 1
        if standalone_mode:
            sys.exit(code)
        return code


def one_dash(error: UsageError, args: Sequence[str]) -> str:
    """Return what is wrong if a name of ONE_DASH, read as a short option and its value, made the error; else ""."""
    for word in ONE_DASH:
        is_option = getattr(error, "option_name", None) == word[:2]
        if word in args and (is_option or repr(word[2:]) in error.format_message()):
            return f"{word} is not an option of gemel: {ONE_DASH[word]}"
    return ""


def message_of(error: UsageError) -> str:
    """Return what is wrong with a command line. Options that are only remotely like an unknown one are left out."""
    if getattr(error, "possibilities", None):
        is_others = advice_on(error) != ""
        error.possibilities = [one for one in error.possibilities if not is_others and is_near(error.option_name, one)]
    return str(error.format_message())


def is_near(given: str, option: str) -> bool:
    """Tell whether an unknown option may mean this one: nearly the same name, or one that continues the other.

    >>> is_near("--temprature", "--temperature"), is_near("--temprature", "--temp"), is_near("--model", "--help")
    (True, True, False)
    """
    import difflib  # here: only errors need it

    one, other = given.lstrip("-").lower(), option.lstrip("-")
    same = difflib.SequenceMatcher(None, one, other).ratio()
    return same >= CUTOFF or one.startswith(other) or other.startswith(one)


def hint_at(error: UsageError) -> str:
    """Return what to do about an option of another program, or a prompt that was taken for options or arguments."""
    message = message_of(error)
    parameters = error.ctx.command.params if error.ctx is not None else []
    takes_text = any(one.name in ("prompt", "text") for one in parameters)
    if takes_text and message.startswith("Got unexpected extra argument"):
        return ": write a text of several words in quotes"
    if not message.startswith("No such option") or "ossible" in message:
        return ""
    words = advice_on(error) or ("write -- before a text that begins with -" if takes_text else "")
    return words and f": {words}"


def advice_on(error: UsageError) -> str:
    """Return what to do instead of an option of another program; "" for other options."""
    parameters = error.ctx.command.params if error.ctx is not None else []
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    had = {name for one in parameters for name in one.opts} | {(one.metavar or "").strip("[].") for one in arguments}
    found = (words for options, needed, words in OTHERS if error.option_name in options and needed in had)
    return next(found, "")


app = typer.Typer(
    cls=Group,
    name="gemel",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for command in (
    run.run, chat.chat, pull.pull, inspect_cmd.inspect, tokenize_cmd.tokenize, score.score, embed_cmd.embed,
    rerank_cmd.rerank, draft_cache_cmd.draft_cache, bench.bench, doctor.doctor, demo.demo, serve.serve, remote.ps,
):
    epilog = pull.SHORT_NAMES if command is pull.pull else None
    app.command(no_args_is_help=False, epilog=epilog)(command)
app.add_typer(keys_cmd.keys)
app.command("list")(models_cmd.list_models)
app.command("rm", no_args_is_help=False)(models_cmd.remove)
app.command("stop", no_args_is_help=False)(remote.stop)


def print_version(asked: bool) -> None:
    """Print the version and exit if --version was given."""
    if asked:
        typer.echo(f"gemel {gemel.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run GGUF language models on a CPU."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(2)


def main() -> None:
    """Run the command line of this process."""
    app(prog_name="gemel")
