"""What goes to a person and what goes to a machine: JSON, lines, tables, and text as it is generated.

Files and models are not trusted with a terminal: whatever they name is shown without control characters.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemel import SourceError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 10_000   # columns of a table that goes to a file: nothing is folded or cut
# C0 and C1 but for tab and line feed: what could move the cursor or recolour the screen.
CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {9, 10})


def prepare_streams() -> None:
    """Let every character be written: one that the stream's encoding lacks shows as an escape."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def silence() -> None:
    """Point both streams at nothing, after their reader has gone: Python flushes them once more when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):   # a stream that is no file has no reader
            os.dup2(nothing, stream.fileno())
    os.close(nothing)


def say(line: str) -> None:
    """Write one line for people to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def say_error(message: object) -> None:
    """Write `error: ...` to stderr, as one line whatever the message quotes."""
    say(f"error: {printable(str(message))}")


def printable(text: str) -> str:
    r"""Return one line that a terminal only shows: control characters, line ends and halves of pairs as escapes.

    >>> printable("a\x1b[2J\nb")
    'a\\x1b[2J\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_json(value: dict[str, Any]) -> None:
    """Write one JSON object on one line of stdout, in ASCII: it can be read whatever the encoding."""
    sys.stdout.write(json.dumps(finite(value), allow_nan=False) + "\n")


def finite(value: Any) -> Any:  # noqa: ANN401
    """Return a copy in which numbers that JSON lacks are the texts "nan", "inf" and "-inf"."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def console() -> Console:
    """Return stdout for rich: as wide as the terminal, or so wide that nothing is cut."""
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            """Let the command line end as it does for any other writer; rich would exit by itself."""
            raise BrokenPipeError

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Quiet(file=sys.stdout, highlight=False, markup=False, emoji=False, width=width)


def table(*columns: str, numbers: tuple[str, ...] = ()) -> Table:
    """Return an empty table; columns in `numbers` are flush right."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made


def facts(pairs: dict[str, str]) -> Table:
    """Return a table of names and values without a head."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    for name, value in pairs.items():
        made.add_row(name, printable(value))
    return made


def bytes_text(size: float) -> str:
    """Return a size for people.

    >>> bytes_text(98362432)
    '98.4 MB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class Writer:
    """Generated text on stdout, piece by piece; a terminal gets no control characters."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._at_line_start = True

    def write(self, piece: str) -> None:
        """Print a piece at once."""
        if piece:
            self._at_line_start = piece.endswith("\n")
            sys.stdout.write(piece.translate(CONTROLS) if self._terminal else piece)
            sys.stdout.flush()

    def end_line(self) -> None:
        """End the last line, unless the text has done so."""
        if not self._at_line_start:
            self.write("\n")


def name_of(path: str) -> str:
    """Return what to call a text file, or "-", in a message."""
    return "stdin" if path == "-" else printable(path)


def read_text(path: str) -> str:
    """Return a UTF-8 text file, or all of stdin for "-". SourceError when it can't be read or is no UTF-8."""
    name = name_of(path)
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} is not UTF-8: byte {raw[error.start]:#04x} at offset {error.start}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{name} can't be read: {getattr(error, 'strerror', None) or error}") from error
