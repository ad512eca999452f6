"""Jinja for untrusted templates: the immutable sandbox, with limits on time and memory.

Every iteration of a loop and every call is counted, and the size of every value is checked. Filters, methods and
operators give what jinja's own sandbox gives; those whose output could be far larger than their input are guarded.
"""

from __future__ import annotations

import codecs
import contextlib
import datetime
import functools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jinja2
import jinja2.ext
import jinja2.filters
import jinja2.nodes as nodes
from jinja2.exceptions import SecurityError
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.visitor import NodeTransformer

Value = Any   # any value of a template
MAX_VALUE = 1 << 23      # characters of one value, of all texts in one list, and of the output
NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]   # never part of text that is exchanged: they mark some
ESCAPED = re.compile(r"(?<!\\)((?:\\\\)*)\\u(fd[de][0-9a-f])")   # one of them, as JSON and Python escape it
MAX_STEPS = 1 << 20      # iterations of loops, calls, and items of lists
MAX_SECONDS = 20.0
MAX_BITS = 1 << 10       # bits of an integer
MAX_WIDTH = 1 << 16      # of a padded or wrapped text, and other numbers that filters and methods take
SLOW = ("punycode", "idna")   # encodings
PRIVATE = ("_loop_vars", "_block_vars")   # keywords that jinja adds to calls in loops and blocks

# Filters whose output is no larger than their input; Sandbox adds guarded ones.
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "int",
    "items", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "safe",
    "select", "selectattr", "sort", "title", "trim", "unique", "upper", "wordcount", "groupby",
)
# Filters whose output is bounded by their input and by the numbers that they are given.
_BOUNDED = (
    "attr", "batch", "center", "filesizeformat", "forceescape", "random", "slice", "striptags", "truncate",
    "urlencode", "urlize", "xmlattr",
)
PADDED = ("center", "expandtabs", "ljust", "rjust", "zfill")   # methods of texts, likewise
CONVERSION = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(\*|[0-9]*)(?:\.(\*|[0-9]*))?")   # of the operator %
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        (
            "capitalize", "casefold", "count", "encode", "endswith", "find", "index", "isalnum", "isalpha",
            "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isspace", "istitle",
            "isupper", "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace",
            "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith",
            "isprintable", "maketrans", "strip", "swapcase", "title", "upper",
            # guarded in Sandbox.call
            "center", "expandtabs", "ljust", "rjust", "translate", "zfill",
        )
    ),
    dict: frozenset(("copy", "get", "items", "keys", "values")),
    list: frozenset(("copy", "count", "index")),
    tuple: frozenset(("count", "index")),
    int: frozenset(
        ("as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "imag", "numerator", "real")
    ),
    float: frozenset(("as_integer_ratio", "conjugate", "hex", "imag", "is_integer", "real")),
    bytes: frozenset(("count", "decode", "endswith", "find", "hex", "index", "lower", "startswith", "strip", "upper")),
}


class TooLongError(SecurityError):
    """A rendering takes too many steps, or too much time."""


class GenerationTag(jinja2.ext.Extension):
    """{% generation %} marks an assistant's text, for training; its body is rendered as if the tag were absent."""

    tags = {"generation"}   # noqa: RUF012  (jinja's own declaration)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(list(parser.parse_statements(("name:endgeneration",), drop_needle=True)), lineno=line)


class Counted(NodeTransformer):
    """Rewrites a template so that loops and macros call step(), and expressions call built() or joined()."""

    def visit_For(self, node: nodes.For) -> nodes.Node:   # noqa: N802
        return self._stepping(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:   # noqa: N802
        return self._stepping(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:   # noqa: N802
        return self._stepping(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:   # noqa: N802
        self.generic_visit(node)
        return _call("joined", node.nodes, node.lineno)

    def visit_List(self, node: nodes.List) -> nodes.Node:   # noqa: N802
        self.generic_visit(node)
        return _call("built", [node], node.lineno)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:   # noqa: N802
        self.generic_visit(node)
        return _call("built", [node], node.lineno)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:   # noqa: N802
        self.generic_visit(node)
        return _call("built", [node], node.lineno) if node.ctx == "load" else node

    def _stepping(self, node: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("step", [], node.lineno), lineno=node.lineno))
        return node


def _call(name: str, arguments: list[nodes.Expr], line: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name, lineno=line), arguments, [], None, None, lineno=line)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of one template; renders one text at a time."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, optimized=False, cache_size=0, finalize=self.shown,
            extensions=[GenerationTag, jinja2.ext.loopcontrols, jinja2.ext.do],
        )
        whole = self.filters
        self.filters = {name: whole[name] for name in _FILTERS}
        self.filters |= {name: bounded(name, whole[name]) for name in _BOUNDED}
        self.filters["pprint"] = lambda value: self.unescaped(whole["pprint"](value))
        self.filters |= {
            "format": self.format, "indent": indent, "join": self.join, "replace": self.replace, "round": round_number,
            "string": self.joined, "sum": self.sum, "tojson": self.to_json, "wordwrap": self.wrap,
        }
        self.globals = {name: self.globals[name] for name in ("dict", "namespace", "joiner", "cycler")}
        self.globals |= {"range": limited_range, "strftime_now": now}
        self.begin()

    def begin(self, marks: str = "") -> None:
        """Reset the counters, before each rendering. marks: noncharacters that are never escaped."""
        self.marks = marks
        self.steps = 0
        self.deadline = time.monotonic() + MAX_SECONDS

    def step(self, n: int = 1) -> str:
        """Count n steps and return ""; TooLongError when there are too many."""
        self.steps += n
        if self.steps > MAX_STEPS:
            raise TooLongError(f"it takes more than {MAX_STEPS} steps")
        if time.monotonic() > self.deadline:
            raise TooLongError(f"it takes more than {MAX_SECONDS:.0f} seconds")
        return ""

    # ---- Sizes ------------------------------------------------------------------------------------------------------

    def built(self, value: Value) -> Value:
        """Return a value, or raise SecurityError when its text would be too large."""
        if isinstance(value, str):
            check_size(len(value))
        elif isinstance(value, list | tuple | dict):
            self._weigh(value)
        return value

    def _weigh(self, value: Value) -> None:
        """Count items as often as they would be written: a list that contains another one twice has its items twice."""
        waiting, characters, items = [value], 0, 0
        while waiting:
            item = waiting.pop()
            items += 1
            if isinstance(item, str):
                characters += len(item)
                check_size(characters)
            elif isinstance(item, dict):
                waiting.extend(item.keys())
                waiting.extend(item.values())
            elif isinstance(item, list | tuple):
                waiting.extend(item)
            if items + len(waiting) > MAX_STEPS:
                raise SecurityError("a list grows too large")
        self.step(items)

    def shown(self, value: Value) -> Value:
        """Return what is written of a value: of lists and mappings their text."""
        return self.text_of(value) if isinstance(value, list | tuple | dict) else self.built(value)

    def text_of(self, value: Value) -> str:
        """As str(). Marks are kept in lists and mappings, too, where Python would escape them."""
        text = str(self.built(value))
        return text if isinstance(value, str) else self.unescaped(text)

    def unescaped(self, text: str) -> str:
        """Put back the marks that JSON or Python has escaped."""
        if not self.marks or "\\ufd" not in text:
            return text

        def one(match: re.Match[str]) -> str:
            character = chr(int(match[2], 16))
            return match[1] + character if character in self.marks else match[0]

        return ESCAPED.sub(one, text)

    def joined(self, *parts: Value) -> str:
        """The operator ~, and |string."""
        return "".join(self._texts(parts))

    def concat(self, parts: Iterable[str]) -> str:
        """How jinja joins blocks, macros and the output."""
        return "".join(self._texts(parts))

    def _texts(self, parts: Iterable[Value]) -> Iterator[str]:
        total = 0
        for part in parts:
            text = self.text_of(part)
            total += len(text)
            check_size(total)
            yield text

    # ---- Jinja's hooks ----------------------------------------------------------------------------------------------

    def call_binop(self, context: Context, operator: str, left: Value, right: Value) -> Value:
        if operator == "%" and isinstance(left, str):
            check_conversions(left)
        elif operator == "**":
            check_power(left, right)
        elif isinstance(left, int) and isinstance(right, int):
            if left.bit_length() + right.bit_length() > MAX_BITS:
                raise SecurityError("an integer grows too large")
        elif operator == "*":
            check_size(_length(left) * (right if isinstance(right, int) else 1))
            check_size(_length(right) * (left if isinstance(left, int) else 1))
        else:
            check_size(_length(left) + _length(right))
        made = self.built(super().call_binop(context, operator, left, right))
        return self.unescaped(made) if operator == "%" and isinstance(left, str) else made

    def is_safe_attribute(self, obj: Value, attr: str, value: Value) -> bool:
        if isinstance(obj, tuple) and attr in getattr(obj, "_fields", ()):   # what groupby yields
            return True
        for kind, methods in _METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Value) -> Callable[..., str] | None:
        """Return str.format and str.format_map with limits; None for everything else."""
        text, name = getattr(value, "__self__", None), getattr(value, "__name__", "")
        if not isinstance(text, str) or name not in ("format", "format_map"):
            return None

        def formatted(*args: Value, **kwargs: Value) -> str:
            if name == "format_map":
                (kwargs,), args = args, ()
            return self.unescaped(self.joined(Formatter(self).vformat(text, args, kwargs)))

        return formatted

    def call(self, context: Context, obj: Value, *args: Value, **kwargs: Value) -> Value:
        self.step()
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        given = {key: value for key, value in kwargs.items() if key not in PRIVATE}
        if isinstance(owner, str) and name == "replace":
            return self.replace(owner, *args, **given)
        if isinstance(owner, str) and name == "join":
            return self.join(args[0], owner)
        if isinstance(owner, str) and name in PADDED:
            check_numbers(name, (*args, *given.values()))
            check_size(len(owner) + owner.count("\t") * MAX_WIDTH if name == "expandtabs" else len(owner))
        if isinstance(owner, str | bytes) and name in ("encode", "decode"):
            check_codec(name, str(given.get("encoding", args[0] if args else "utf-8")))
        if isinstance(owner, str) and name == "translate":
            check_size(len(owner) * longest(args[0] if args else ()))
        if isinstance(obj, Macro):
            self._weigh((args, given))
        return self.built(super().call(context, obj, *args, **kwargs))

    # ---- Guarded filters --------------------------------------------------------------------------------------------

    def join(self, value: Iterable[Value], d: str = "", attribute: str | int | None = None) -> str:
        """As jinja's join, and str.join."""
        if attribute is not None:
            value = map(jinja2.filters.make_attrgetter(self, attribute), value)
        items = []
        for item in value:
            items.append(self.text_of(item))
            check_size(len(items) * (1 + len(d)))
        check_size(sum(map(len, items)) + len(d) * len(items))
        return d.join(items)

    def replace(self, text: Value, old: str, new: str, count: int | None = None) -> str:
        """As jinja's replace, and str.replace."""
        text = self.joined(text)
        times = -1 if count is None else int(count)
        found = text.count(old)
        check_size(len(text) + (found if times < 0 else min(found, times)) * len(new))
        return str(text.replace(old, new, times))

    def format(self, text: Value, *args: Value, **kwargs: Value) -> str:
        """As jinja's format: the operator %."""
        if args and kwargs:
            raise jinja2.exceptions.FilterArgumentError("format takes positional or keyword arguments, not both")
        text = self.joined(text)
        check_conversions(text)
        return self.unescaped(self.joined(text % (kwargs or args)))

    def wrap(
        self,
        text: str,
        width: int = 79,
        break_long_words: bool = True,
        wrapstring: str | None = None,
        break_on_hyphens: bool = True,
    ) -> str:
        """As jinja's wordwrap."""
        check_numbers("wordwrap", (width,))
        check_size(len(text) * (1 + len(wrapstring or "")))
        return jinja2.filters.do_wordwrap(self, text, width, break_long_words, wrapstring, break_on_hyphens)

    def sum(self, value: Iterable[Value], attribute: str | int | None = None, start: Value = 0) -> Value:
        """As jinja's sum, of numbers, lists or tuples."""
        if attribute is not None:
            value = map(jinja2.filters.make_attrgetter(self, attribute), value)
        if isinstance(start, list | tuple):
            items = list(start)
            for item in value:
                if not isinstance(item, type(start)):
                    raise TypeError(f"sum: can't add {type(item).__name__} to {type(start).__name__}")
                items += item
                check_size(len(items))
            return self.built(type(start)(items))
        total = start
        for item in value:
            if not isinstance(item, int | float) or not isinstance(total, int | float):
                raise SecurityError("sum takes numbers, or lists or tuples with a start of their type")
            total += item
        return total

    def to_json(
        self,
        value: Value,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: Value = None,
        sort_keys: bool = False,
    ) -> str:
        """JSON without HTML escapes, as the templates on the hub expect it."""
        if indent is not None and not (isinstance(indent, int) and 0 <= indent <= 16):
            raise SecurityError("tojson takes an indent from 0 to 16")
        self.built(value)
        text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
        check_size(len(text))
        return self.unescaped(text)


class Formatter(SandboxedFormatter):
    """str.format's, with bounded widths."""

    def format_field(self, value: Value, format_spec: str) -> str:
        check_numbers("str.format", map(int, re.findall("[0-9]{1,9}", format_spec)))
        return str(super().format_field(value, format_spec))


def bounded(name: str, work: Callable[..., Value]) -> Callable[..., Value]:
    """Return a filter that refuses large numbers as arguments."""

    @functools.wraps(work)
    def checked(*args: Value, **kwargs: Value) -> Value:
        check_numbers(name, (*args[1:], *kwargs.values()))
        return work(*args, **kwargs)

    return checked


def check_codec(name: str, encoding: str) -> None:
    """Raise SecurityError for an encoding whose time grows with the square of the text."""
    with contextlib.suppress(LookupError):   # an unknown one is an error of the call
        if codecs.lookup(encoding).name in SLOW:
            raise SecurityError(f"{name} does not take {encoding}")


def longest(table: Value) -> int:
    """Return how many characters a table of str.translate makes of one, at most."""
    if not isinstance(table, dict | list | tuple | str):
        raise SecurityError("translate takes a dict, a list or a string")
    made = table.values() if isinstance(table, dict) else table
    return max((len(one) for one in made if isinstance(one, str)), default=1)


def check_numbers(name: str, values: Iterable[Value]) -> None:
    """Raise SecurityError for a number over MAX_WIDTH among a function's arguments."""
    if any(isinstance(value, int) and abs(value) > MAX_WIDTH for value in values):
        raise SecurityError(f"{name} takes numbers up to {MAX_WIDTH}")


def check_conversions(text: str) -> None:
    """Raise SecurityError when the operator % would pad by more than MAX_WIDTH."""
    for widths in CONVERSION.findall(text):
        if "*" in widths:
            raise SecurityError("the operator % takes no width from its arguments (*) here")
        check_numbers("the operator %", [int(width[:9]) for width in widths if width])


def check_power(left: Value, right: Value) -> None:
    """Raise SecurityError when left ** right is a large integer."""
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * max(right, 0) > MAX_BITS:
        raise SecurityError("an integer grows too large")


def check_size(size: int) -> None:
    """Raise SecurityError for a size over MAX_VALUE."""
    if size > MAX_VALUE:
        raise SecurityError(f"a value grows past {MAX_VALUE} characters or items")


def _length(value: Value) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 0


def limited_range(*bounds: int) -> range:
    """range(), of at most MAX_STEPS numbers."""
    numbers = range(*bounds)
    if max(abs(numbers.start), abs(numbers.stop), abs(numbers.step)) >= 2**62 or len(numbers) > MAX_STEPS:
        raise SecurityError(f"range{bounds} is too long")
    return numbers


def now(format: str) -> str:
    """Return the local time in strftime's format."""
    if len(format) > 256 or any(character.isdigit() for character in format):
        raise SecurityError("strftime_now takes a short format without widths")
    return datetime.datetime.now().strftime(format)


def indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """As jinja's indent."""
    if len(width) > 256 if isinstance(width, str) else not 0 <= width <= 256:
        raise SecurityError("indent takes a width up to 256")
    pad = width if isinstance(width, str) else " " * width
    check_size(len(text) + len(pad) * (text.count("\n") + 1))
    lines = text.split("\n")
    padded = [pad + line if line or blank else line for line in lines]
    return "\n".join([padded[0] if first else lines[0], *padded[1:]])


def round_number(value: float, precision: int = 0, method: str = "common") -> float:
    """As jinja's round."""
    if not -16 <= precision <= 16:
        raise SecurityError("round takes a precision up to 16")
    return jinja2.filters.do_round(value, precision, method)   # type: ignore[arg-type]
