"""A docstring becomes a description of the function and of each of its parameters.

Parameters may be described as Google, NumPy or Sphinx write them, or by lines of the form `name: text`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection

OF_PARAMETERS = ("args", "arguments", "parameters", "params", "keyword args", "keyword arguments", "other parameters")
HEADINGS = (
    *OF_PARAMETERS, "returns", "return", "yields", "raises", "example", "examples", "note", "notes", "see also",
    "warns", "warnings", "references",
)   # fmt: skip
GOOGLE = re.compile(rf"({'|'.join(HEADINGS)}):\s*", re.IGNORECASE)
DASHES = re.compile(r"-{3,}\s*")
ITEM = re.compile(r"(\s*)\*{0,2}(\w+(?:, \w+)*)\s*(?:\([^)]*\))?\s*:\s*(.*)")   # name (type): text
NUMPY_ITEM = re.compile(r"()\*{0,2}(\w+(?:, \w+)*)\s*(?::.*)?()")   # name, name : type
FIELD = re.compile(r":(\w+)(?:\s+(?:[^:]*\s)?(\w+))?:\s*(.*)")   # :param type name: text
PARAMETER_FIELDS = ("param", "parameter", "arg", "argument", "key", "keyword")
APART = re.compile(r"\s|[-*+] |\d+[.)] ")   # what begins a line that is not joined to the one before


def described(doc: str | None, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the text before parameters and other sections, and the texts of the parameters that it describes.

    >>> described("Add two\\nnumbers.\\n\\nArgs:\\n    a (int): the first\\n    b: the\\n        second", ["a", "b"])
    ('Add two numbers.', {'a': 'the first', 'b': 'the second'})
    """
    reader = _Reader(names)
    lines = inspect.cleandoc(doc or "").split("\n")
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        reader.read(line, after)
    return _paragraphs(reader.main), {name: " ".join(filter(None, texts)) for name, texts in reader.texts.items()}


class _Reader:
    def __init__(self, names: Collection[str]) -> None:
        self.names = names
        self.main: list[str] = []               # lines before parameters and sections
        self.texts: dict[str, list[str]] = {}   # lines by parameter
        self._is_main = True
        self._item: re.Pattern[str] | None = ITEM   # how a line begins to describe a parameter; None: none does here
        self._indent: int | None = 0                # of such lines; None: that of the first one
        self._current: tuple[str, ...] = ()         # parameters that the next line is about

    def read(self, line: str, after: str) -> None:
        if self._heading(line, after) or (not self._is_main and DASHES.fullmatch(line)):
            self._current = ()
        elif field := FIELD.fullmatch(line):
            is_known = field[1] in PARAMETER_FIELDS and field[2] in self.names
            self._begin((field[2],) if is_known else (), field[3])
        elif match := self._item and self._item.fullmatch(line):
            self._read_item(line, match)
        else:
            self._go_on(line)

    def _heading(self, line: str, after: str) -> bool:
        google, title = GOOGLE.fullmatch(line), line.strip().lower()
        if not google and not (title in HEADINGS and DASHES.fullmatch(after)):
            return False
        self._is_main, self._item = False, None
        if (google[1].lower() if google else title) in OF_PARAMETERS:
            self._item, self._indent = (ITEM, None) if google else (NUMPY_ITEM, 0)
        return True

    def _read_item(self, line: str, match: re.Match[str]) -> None:
        found = tuple(match[2].split(", "))
        if self._indent not in (None, len(match[1])) or not all(name in self.names for name in found):
            self._go_on(line)
            return
        self._indent = len(match[1])
        self._begin(found, match[3])

    def _begin(self, names: tuple[str, ...], text: str) -> None:
        self._is_main, self._current = False, names
        self.texts |= {name: [text] for name in names}

    def _go_on(self, line: str) -> None:
        if self._is_main:
            self.main.append(line)
        elif not line.strip() and self._item is ITEM and self._indent == 0:
            self._current = ()   # `name: text` ends with its paragraph
        elif line.strip() and not line.startswith(" ") and self._indent:
            self._current, self._item = (), None   # a section ends with its indent
        for name in self._current:
            self.texts[name].append(line.strip())


def _paragraphs(lines: list[str]) -> str:
    """Return lines as paragraphs of one line each; items of lists keep their lines."""
    found = ""
    for line in lines:
        is_joined = found and not found.endswith("\n") and line and not APART.match(line)
        found += (" " if is_joined else "\n") + line
    return re.sub(r"\n{3,}", "\n\n", found).strip()
