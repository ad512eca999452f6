"""Jinja for templates that nobody vouches for: the immutable sandbox, and limits on time and memory.

Every turn of a loop and every call is counted, every value that is built is weighed, and only filters and methods
stay that these limits cover. Knows jinja; knows nothing of chats.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import jinja2
import jinja2.ext
import jinja2.filters
import jinja2.nodes as nodes
from jinja2.exceptions import SecurityError
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

Value = Any   # whatever a template computes with
MAX_VALUE = 1 << 23      # characters of one value, of all texts in one list, and of the output
MAX_STEPS = 1 << 20      # turns of loops, calls, and items of lists that are built
MAX_SECONDS = 20.0
MAX_BITS = 1 << 10       # bits of an integer

# Filters whose output is no larger than their input; Sandbox adds guarded ones.
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "int",
    "items", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "safe",
    "select", "selectattr", "sort", "title", "trim", "unique", "upper", "wordcount", "groupby",
)
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        (
            "capitalize", "casefold", "count", "encode", "endswith", "find", "index", "isalnum", "isalpha",
            "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isspace", "istitle",
            "isupper", "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace",
            "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith",
            "strip", "swapcase", "title", "upper",
        )
    ),
    dict: frozenset(("copy", "get", "items", "keys", "values")),
    list: frozenset(("copy", "count", "index")),
    tuple: frozenset(("count", "index")),
    int: frozenset(),
    float: frozenset(),
    bytes: frozenset(),
}


class GenerationTag(jinja2.ext.Extension):
    """{% generation %} marks what an assistant says, for training; its body is rendered as if it were not there."""

    tags = {"generation"}   # noqa: RUF012  (jinja's own declaration)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(list(parser.parse_statements(("name:endgeneration",), drop_needle=True)), lineno=line)


class Counted(NodeTransformer):
    """Rewrites a template so that loops and macros call step(), and what builds values calls built() or joined()."""

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
            trim_blocks=True, lstrip_blocks=True, optimized=False, cache_size=0, finalize=self.built,
            extensions=[GenerationTag, jinja2.ext.loopcontrols, jinja2.ext.do],
        )
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters |= {
            "tojson": self.to_json, "indent": indent, "join": self.join, "replace": self.replace,
            "round": round_number, "string": self.joined, "sum": self.sum,
        }
        self.globals = {name: self.globals[name] for name in ("dict", "namespace", "joiner", "cycler")}
        self.globals |= {"range": limited_range, "strftime_now": now}
        self.begin()

    def begin(self) -> None:
        """Set the counters back, before a rendering."""
        self.steps = 0
        self.deadline = time.monotonic() + MAX_SECONDS

    def step(self, n: int = 1) -> str:
        """Count n steps; it shows nothing. Raise SecurityError when they are too many."""
        self.steps += n
        if self.steps > MAX_STEPS:
            raise SecurityError(f"it takes more than {MAX_STEPS} steps")
        if time.monotonic() > self.deadline:
            raise SecurityError(f"it takes more than {MAX_SECONDS:.0f} seconds")
        return ""

    # ---- Weighing ---------------------------------------------------------------------------------------------------

    def built(self, value: Value) -> Value:
        """Return a value, or raise SecurityError when it, written out, would be too large."""
        if isinstance(value, str):
            check_size(len(value))
        elif isinstance(value, list | tuple | dict):
            self._weigh(value)
        return value

    def _weigh(self, value: Value) -> None:
        """Count items as often as they would be written: a list that holds another twice holds its items twice."""
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

    def joined(self, *parts: Value) -> str:
        """The operator ~, and |string."""
        return "".join(self._texts(parts))

    def concat(self, parts: Iterable[str]) -> str:
        """What jinja puts blocks, macros and the output together with."""
        return "".join(self._texts(parts))

    def _texts(self, parts: Iterable[Value]) -> Iterator[str]:
        total = 0
        for part in parts:
            text = str(self.built(part))
            total += len(text)
            check_size(total)
            yield text

    # ---- What jinja asks --------------------------------------------------------------------------------------------

    def call_binop(self, context: Context, operator: str, left: Value, right: Value) -> Value:
        if operator == "**" or (operator == "%" and not isinstance(left, int | float)):
            raise SecurityError(f"the operator {operator} is not allowed here")
        if isinstance(left, int) and isinstance(right, int):
            if left.bit_length() + right.bit_length() > MAX_BITS:
                raise SecurityError("an integer grows too large")
        elif operator == "*":
            check_size(_length(left) * (right if isinstance(right, int) else 1))
            check_size(_length(right) * (left if isinstance(left, int) else 1))
        else:
            check_size(_length(left) + _length(right))
        return self.built(super().call_binop(context, operator, left, right))

    def is_safe_attribute(self, obj: Value, attr: str, value: Value) -> bool:
        for kind, methods in _METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Value) -> None:
        """Refuse str.format, whose width can be anything; jinja would let it through with checks of its own."""
        if isinstance(getattr(value, "__self__", None), str) and value.__name__ in ("format", "format_map"):
            raise SecurityError("str.format is not allowed here")

    def call(self, context: Context, obj: Value, *args: Value, **kwargs: Value) -> Value:
        self.step()
        self.wrap_str_format(obj)
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str) and name == "replace":
            return self.replace(owner, *args, **kwargs)
        if isinstance(owner, str) and name == "join":
            return self.join(args[0], owner)
        if isinstance(obj, Macro):
            self._weigh((args, kwargs))
        return self.built(super().call(context, obj, *args, **kwargs))

    # ---- Guarded filters --------------------------------------------------------------------------------------------

    def join(self, value: Iterable[Value], d: str = "", attribute: str | int | None = None) -> str:
        """As jinja's join, and str.join."""
        if attribute is not None:
            value = map(jinja2.filters.make_attrgetter(self, attribute), value)
        items = []
        for item in value:
            items.append(str(self.built(item)))
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

    def sum(self, value: Iterable[Value], attribute: str | int | None = None, start: float = 0) -> float:
        """As jinja's sum, of numbers."""
        if attribute is not None:
            value = map(jinja2.filters.make_attrgetter(self, attribute), value)
        total = start
        for item in value:
            if not isinstance(item, int | float) or not isinstance(total, int | float):
                raise SecurityError("sum takes numbers")
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
        """As the templates of the hub expect it: JSON without HTML escapes."""
        if indent is not None and not (isinstance(indent, int) and 0 <= indent <= 16):
            raise SecurityError("tojson takes an indent from 0 to 16")
        self.built(value)
        text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
        check_size(len(text))
        return text


def check_size(size: int) -> None:
    """Raise SecurityError for a size past MAX_VALUE."""
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
    """Return the local time in strftime's language."""
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
