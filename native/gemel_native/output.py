"""Output: JSON, lines, tables, and text as it is generated.

Text of files and models is not trusted: a terminal gets it without control characters.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gemel import SourceError

from .streams import takes_codes
from .wrap import Wrap

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 10_000   # columns of a table that goes to a file, so that nothing is folded or cut
# C0 and C1, except tab and line feed: they could move the cursor or change colours.
DIM, PLAIN = "\x1b[2m", "\x1b[22m"
CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {9, 10})


def say(line: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class LogLines(logging.Handler):
    """Writes what gemel logs to stderr, one line per record."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        say(printable(record.getMessage()))


def show_log() -> None:
    """Write from now on what gemel logs to stderr, such as which file of a repository was taken."""
    logger = logging.getLogger("gemel")
    logger.setLevel(logging.INFO)
    logger.handlers = [LogLines()]


def say_error(message: object) -> None:
    """Write `error: ...` to stderr, as one line, whatever the message quotes."""
    say(f"error: {printable(str(message))}")


def say_warning(message: str) -> None:
    """Write `warning: ...` to stderr, as one line."""
    say(f"warning: {printable(message)}")


def printable(text: str) -> str:
    r"""Return one line that is safe to print: control characters, line ends and lone surrogates become escapes.

    >>> printable("a\x1b[2J\nb")
    'a\\x1b[2J\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_json(value: dict[str, Any]) -> None:
    """Write one JSON object on one line of stdout, in ASCII, so that any encoding can represent it."""
    sys.stdout.write(json.dumps(finite(value), allow_nan=False) + "\n")


def finite(value: Any) -> Any:  # noqa: ANN401
    """Return a copy in which numbers that JSON lacks are the strings "nan", "inf" and "-inf"."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def console() -> Console:
    """Return stdout for rich: as wide as the terminal, or wide enough that nothing is cut."""
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            """Raise, so that the command exits as for any other writer; rich would exit itself."""
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
    """Return a table of names and values without a header."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    for name, value in pairs.items():
        made.add_row(name, printable(value))
    return made


def counted(n: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "token"), counted(2, "token")
    ('1 token', '2 tokens')
    """
    return f"{n} {noun}{'s' * (n != 1)}"


def bytes_text(size: float) -> str:
    """Return a size as text.

    >>> bytes_text(98362432)
    '98.4 MB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class Writer:
    """Writes generated text to a stream, piece by piece; a terminal gets no control characters, and lines that fit.

    is_dim: a terminal shows it dimmed.
    """

    def __init__(self, stream: TextIO | None = None, *, is_dim: bool = False) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._terminal = self._stream.isatty()
        self._is_dim = is_dim and self._terminal and takes_codes(self._stream)
        self._at_line_start = True
        self._wrap = Wrap(lambda: shutil.get_terminal_size().columns)

    def write(self, piece: str) -> None:
        """Print a piece immediately; on a terminal, an unfinished word comes with its end."""
        if piece:
            self._at_line_start = piece.endswith("\n")
            self._print(self._wrap.feed(piece.translate(CONTROLS)) if self._terminal else piece)

    def end_line(self) -> None:
        """End the last line, unless the text ended it."""
        if not self._at_line_start:
            self.write("\n")

    def _print(self, text: str) -> None:
        if text:
            self._stream.write(f"{DIM}{text}{PLAIN}" if self._is_dim else text)
            self._stream.flush()


def name_of(path: str) -> str:
    """Return what to call a text file, or "-", in a message."""
    return "stdin" if path == "-" else printable(path)


def read_text(path: str) -> str:
    """Return a UTF-8 text file, or all of stdin for "-". Raises SourceError if it can't be read or is not UTF-8."""
    name = name_of(path)
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} is not UTF-8: byte {raw[error.start]:#04x} at offset {error.start}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{name} can't be read: {getattr(error, 'strerror', None) or error}") from error
