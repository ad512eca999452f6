"""Regular expressions of JSON schema (ECMA-262, a linear subset) as automata.

Supported: characters, `.`, classes, \\d \\D \\w \\W \\s \\S, groups, |, ? * + {m} {m,} {m,n} (also lazy), ^ and $,
escapes, \\b and \\B, look-ahead right behind a ^ that begins the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from .automaton import LAST, Automaton, Builder, Ranges, both, literal, without

DIGIT: Ranges = ((0x30, 0x39),)
WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
SPACE: Ranges = (
    (0x9, 0xD), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)   # fmt: skip
LINE_ENDS: Ranges = ((0xA, 0xA), (0xD, 0xD), (0x2028, 0x2029))
ESCAPES = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
LOW = re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})")   # the second half of a surrogate pair
PLAIN = re.compile(r"[A-Za-z0-9 _/:;,@#%&=<>~!-]+(?![*+?{])")   # characters that stand for themselves, not repeated
LISTED = re.compile(r"[A-Za-z0-9 _/:;,@#%&=<>~!-]+(?:\|[A-Za-z0-9 _/:;,@#%&=<>~!-]+)+(?=\)|$)", re.ASCII)   # such texts
REPEAT_MAX = 1000
GROUPS_MAX = 60


class PatternError(ValueError):
    """A pattern is invalid, or not of the supported subset."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(f"column {at + 1} of the pattern: {why}")
        self.at, self.why = at, why


def negated(ranges: Ranges) -> Ranges:
    """Return all other code points."""
    out, at = [], 0
    for low, high in sorted(ranges):
        if low > at:
            out.append((at, low - 1))
        at = max(at, high + 1)
    return tuple([*out, (at, LAST)] if at <= LAST else out)


@dataclass
class Part:
    """A stretch of an automaton with one way in and one out; `copy` makes another one."""

    first: int
    last: int
    copy: Callable[[], Part]


class _Parser:
    """Reads a pattern once. Anchors are edges that read a mark before or after the text.

    \\b and \\B read other marks, between characters.
    """

    # Marks lie beyond Unicode: a text is read as BEGIN text END.
    BEGIN, END, BOUNDARY, INSIDE = range(LAST + 1, LAST + 5)

    def __init__(self, source: str) -> None:
        self.source, self.at, self.builder, self.depth = source, 0, Builder(), 0
        self.has_boundaries, self.inner_anchor = False, -1   # where a ^ is that is not first, or a $ that is not last

    def fail(self, at: int, why: str) -> PatternError:
        return PatternError(at, why)

    def peek(self) -> str:
        return self.source[self.at] if self.at < len(self.source) else ""

    def take(self, text: str) -> bool:
        if self.source.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    # ---- Parts ----

    def reading(self, ranges: Ranges) -> Part:
        first, last = self.builder.state(), self.builder.state()
        if ranges and ranges[0][0] in (self.BEGIN, self.END):
            self.builder.reads[first].append((*ranges[0], last))
        else:
            self.builder.classes[first].append((ranges, last))
        return Part(first, last, lambda: self.reading(ranges))

    def text(self, text: str) -> Part:
        first = at = self.builder.state()
        for char in text:
            to = self.builder.state()
            self.builder.classes[at].append((((ord(char), ord(char)),), to))
            at = to
        return Part(first, at, lambda: self.text(text))

    def listed(self, texts: list[str]) -> Part:
        automaton = literal(texts)
        states, last = [self.builder.state() for _ in automaton.ends], self.builder.state()
        for state, row, is_end in zip(states, automaton.edges, automaton.ends, strict=True):
            self.builder.reads[state] = [(low, high, states[to]) for low, high, to in row]
            self.builder.skips[state] = [last] if is_end else []
        return Part(states[0], last, lambda: self.listed(texts))

    def empty(self) -> Part:
        state = self.builder.state()
        return Part(state, state, self.empty)

    def joined(self, parts: list[Part]) -> Part:
        if not parts:
            return self.empty()
        for one, other in pairwise(parts):
            self.builder.skips[one.last].append(other.first)
        copies = [part.copy for part in parts]
        return Part(parts[0].first, parts[-1].last, lambda: self.joined([copy() for copy in copies]))

    def chosen(self, parts: list[Part]) -> Part:
        first, last = self.builder.state(), self.builder.state()
        for part in parts:
            self.builder.skips[first].append(part.first)
            self.builder.skips[part.last].append(last)
        copies = [part.copy for part in parts]
        return Part(first, last, lambda: self.chosen([copy() for copy in copies]))

    def looped(self, part: Part) -> Part:
        first, last = self.builder.state(), self.builder.state()
        self.builder.skips[first] += [part.first, last]
        self.builder.skips[part.last] += [part.first, last]
        return Part(first, last, lambda: self.looped(part.copy()))

    def repeated(self, part: Part, least: int, most: int | None) -> Part:
        parts = [part, *(part.copy() for _ in range(least - 1))] if least else []
        if most is None:
            return self.joined([*parts, self.looped(part.copy() if least else part)])
        if most > least:
            parts.append(self.up_to(part.copy() if least else part, most - least))
        return self.joined(parts)

    def up_to(self, part: Part, n: int) -> Part:
        """Return a part 0..n times. Each may be the last: what follows is reached from it at once."""
        first, last = self.builder.state(), self.builder.state()
        at, one = first, part
        for i in range(n):
            one = part.copy() if i else part
            self.builder.skips[at] += [one.first, last]
            at = one.last
        self.builder.skips[at].append(last)
        return Part(first, last, lambda: self.up_to(part.copy(), n))

    # ---- Syntax ----

    def alternatives(self) -> Part:
        if listed := LISTED.match(self.source, self.at):
            self.at = listed.end()
            return self.listed(listed[0].split("|"))
        branches = [self.sequence()]
        while self.take("|"):
            branches.append(self.sequence())
        return branches[0] if len(branches) == 1 else self.chosen(branches)

    def sequence(self) -> Part:
        parts = []
        while self.peek() not in ("", "|", ")"):
            plain = PLAIN.match(self.source, self.at)
            if plain is None:
                parts.append(self.quantified())
            else:
                self.at = plain.end()
                parts.append(self.text(plain[0]))
        return self.joined(parts)

    def quantified(self) -> Part:
        at = self.at
        if self.take("^"):
            self.inner_anchor = at if at else self.inner_anchor
            return self.reading(((self.BEGIN, self.BEGIN),))
        if self.take("$"):
            self.inner_anchor = at if self.at < len(self.source) else self.inner_anchor
            return self.reading(((self.END, self.END),))
        for name, mark in (("\\b", self.BOUNDARY), ("\\B", self.INSIDE)):
            if self.take(name):
                self.has_boundaries = True
                return self.reading(((mark, mark),))
        part = self.atom()
        bounds = self.bounds()
        if bounds is None:
            return part
        least, most = bounds
        if most is not None and most < least:
            raise self.fail(at, f"{{{least},{most}}} ends below its beginning")
        if max(least, most or 0) > REPEAT_MAX:
            raise self.fail(at, f"more than {REPEAT_MAX} repetitions are not supported")
        self.take("?")
        if self.peek() in ("*", "+"):
            raise self.fail(self.at, "there is nothing to repeat")
        return self.repeated(part, least, most)

    def bounds(self) -> tuple[int, int | None] | None:
        for char, found in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(char):
                return found
        start = self.at
        if not self.take("{"):
            return None
        least = self.digits()
        most: int | None = least
        if least is not None and self.take(","):
            most = self.digits()
        if least is None or not self.take("}"):   # ECMA takes it as a character
            self.at = start
            return None
        return least, most

    def digits(self) -> int | None:
        start = self.at
        while self.peek().isascii() and self.peek().isdigit():
            self.at += 1
        if self.at - start > 9:
            raise self.fail(start, f"more than {REPEAT_MAX} repetitions are not supported")
        return int(self.source[start : self.at]) if self.at > start else None

    def atom(self) -> Part:
        at, char = self.at, self.peek()
        if self.take("("):
            self.depth += 1
            if self.depth > GROUPS_MAX:
                raise self.fail(at, f"more than {GROUPS_MAX} groups in each other: the pattern is nested too deep")
            if self.take("?"):
                named = self.take("<") and self.peek() not in ("=", "!")
                if named:
                    close = self.source.find(">", self.at)
                    if close < 0:
                        raise self.fail(at, "the name of this group has no end")
                    self.at = close + 1
                elif not self.take(":"):
                    is_look = self.peek() in ("=", "!") or self.source[self.at - 1] == "<"
                    raise self.fail(at, f"{'look-around is' if is_look else 'flags of a group are'} not supported")
            part = self.alternatives()
            if not self.take(")"):
                raise self.fail(at, "this group has no closing parenthesis")
            self.depth -= 1
            return part
        if char in ("*", "+", "?"):
            raise self.fail(at, "there is nothing to repeat")
        self.at += 1
        if char == ".":
            return self.reading(negated(LINE_ENDS))
        if char == "[":
            return self.reading(self.members(at))
        if char == "\\":
            return self.reading(self.escape(at))
        return self.reading(((ord(char), ord(char)),))

    def members(self, at: int) -> Ranges:
        is_negated = self.take("^")
        found: list[tuple[int, int]] = []
        while not self.take("]"):
            low = self.member(at)
            if self.peek() == "-" and self.source[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self.member(at)
                if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or high[0][0] < low[0][0]:
                    raise self.fail(at, "a range of this class is invalid")
                low = ((low[0][0], high[0][0]),)
            found += low
        ranges = tuple(found)
        return negated(ranges) if is_negated else ranges

    def member(self, at: int) -> Ranges:
        char = self.peek()
        if not char:
            raise self.fail(at, "this class has no closing bracket")
        self.at += 1
        if char != "\\":
            return ((ord(char), ord(char)),)
        if self.take("b"):
            return ((8, 8),)
        return self.escape(self.at - 1)

    def escape(self, at: int) -> Ranges:
        char = self.peek()
        self.at += 1
        sets = {"d": DIGIT, "w": WORD, "s": SPACE}
        if char in sets:
            return sets[char]
        if char and char.lower() in sets:
            return negated(sets[char.lower()])
        code = self.code(at, char)
        return ((code, code),)

    def code(self, at: int, char: str) -> int:
        if char in ESCAPES:
            return ESCAPES[char]
        if char == "0" and not self.peek().isdigit():
            return 0
        if char == "c" and self.peek().isascii() and self.peek().isalpha():
            self.at += 1
            return ord(self.source[self.at - 1]) & 31
        if char in ("x", "u"):
            return self.hexadecimal(at, char)
        if char.isascii() and char and not char.isalnum():
            return ord(char)
        if char.isdigit() or char == "k":
            raise self.fail(at, "back references are not supported")
        if char in ("p", "P"):
            raise self.fail(at, "Unicode properties are not supported")
        raise self.fail(at, f"unknown escape \\{char}")

    def hexadecimal(self, at: int, char: str) -> int:
        if char == "u" and self.take("{"):
            close = self.source.find("}", self.at)
            if close < 0:
                raise self.fail(at, "the escape is not complete")
            digits, self.at = self.source[self.at : close], close + 1
        else:
            n = 4 if char == "u" else 2
            digits, self.at = self.source[self.at : self.at + n], self.at + n
            if len(digits) != n:
                raise self.fail(at, "the escape is not complete")
        if not re.fullmatch("[0-9A-Fa-f]+", digits):
            raise self.fail(at, "the escape needs hexadecimal digits")
        code = int(digits.lstrip("0")[:8] or "0", 16)
        low = LOW.match(self.source, self.at) if 0xD800 <= code < 0xDC00 else None
        if low:
            self.at = low.end()
            code = 0x10000 + ((code & 0x3FF) << 10 | (int(low[1], 16) & 0x3FF))
        if code > LAST:
            raise self.fail(at, "the code point is beyond Unicode")
        return code


def pattern(source: str) -> Automaton:
    """Return the texts in which the pattern is found somewhere."""
    return _looked_ahead(source) or _found_in(source)


def _looked_ahead(source: str) -> Automaton | None:
    """Return the texts of `^(?!a)b` or `^(?=a)b`, if the pattern is one: sets of whole texts can be combined."""
    if not source.startswith(("^(?!", "^(?=")):
        return None
    depth, close, is_class = 0, 0, False
    for match in re.finditer(r"\\.|[][()|]", source, re.DOTALL):
        char = match[0]
        if is_class or char in "[]":
            is_class = char == "[" or (is_class and char != "]")
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            close = close or (0 if depth else match.start())
        elif char == "|" and not depth:
            return None
    if not close:
        return None
    ahead = _found_in(f"^(?:{source[4:close]})")
    try:
        rest = pattern("^" + source[close + 1 :])
    except PatternError as error:
        raise PatternError(error.at + close, error.why) from None
    return both(rest, ahead) if source[3] == "=" else without(rest, ahead)


def _found_in(source: str) -> Automaton:
    parser = _Parser(source)
    found = parser.alternatives()
    if parser.at < len(source):
        raise parser.fail(parser.at, "this parenthesis closes no group")
    builder = parser.builder
    everything, mark = (0, LAST), (parser.BEGIN, parser.END)
    first, last = builder.state(), builder.state()
    builder.reads[first].append((mark[0], mark[0], first))   # before the match: the begin mark and any characters
    builder.reads[first].append((*everything, first))
    builder.skips[first].append(found.first)
    builder.skips[found.last].append(last)
    builder.reads[last] += [(*everything, last), (mark[1], mark[1], last)]
    if not parser.has_boundaries:
        return _unmarked(builder, first, last)
    if parser.inner_anchor >= 0:
        raise parser.fail(parser.inner_anchor, "beside word boundaries, ^ must come first and $ last")
    return _with_boundaries(_unmarked(builder, first, last))


def _with_boundaries(marked: Automaton) -> Automaton:
    """Return the texts in which marks of boundaries can be put where they are read, and nowhere else."""
    word, other = WORD, negated(WORD)
    boundary, inside = ((_Parser.BOUNDARY,) * 2,), ((_Parser.INSIDE,) * 2,)
    # Behind another character or the beginning, and behind a word's; the same with a mark that was read since.
    rows: tuple[tuple[tuple[Ranges, int], ...], ...] = (
        ((word, 1), (other, 0), (boundary, 2), (inside, 4)), ((word, 1), (other, 0), (boundary, 3), (inside, 5)),
        ((word, 1), (boundary, 2)), ((other, 0), (boundary, 3)), ((other, 0), (inside, 4)), ((word, 1), (inside, 5)),
    )   # fmt: skip
    edges = tuple(
        tuple(sorted((low, high, to) for ranges, to in row for low, high in ranges)) for row in rows
    )   # fmt: skip
    right = both(marked, Automaton(edges, (True, True, False, True, True, False)))
    builder = Builder()
    for _ in right.ends:
        builder.state()
    end = builder.state()
    for state, edges_of in enumerate(right.edges):
        builder.reads[state] = [edge for edge in edges_of if edge[0] <= LAST]
        builder.skips[state] = [to for low, _, to in edges_of if low > LAST] + ([end] if right.ends[state] else [])
    return builder.finish(0, end)


def _unmarked(builder: Builder, first: int, last: int) -> Automaton:
    """Read the mark at the beginning and the one at the end without characters.

    An anchor inside reads its mark: it can be read once, before the first character or after the last.
    """
    begin, end = _Parser.BEGIN, _Parser.END

    def stepped(states: frozenset[int], code: int) -> list[int]:
        return [to for state in states for low, high, to in builder.reads[state] if low <= code <= high]

    # `^` may be passed any number of times at the beginning: those states are entered without reading.
    at_first = builder.closed([first])
    while True:
        more = builder.closed([*at_first, *stepped(at_first, begin)])
        if more == at_first:
            break
        at_first = more
    start, finish = builder.state(), builder.state()
    builder.skips[start] += sorted(at_first)
    before: list[list[int]] = [[] for _ in builder.reads]   # which states lead here without a character
    for state, skips in enumerate(builder.skips):
        for to in (*skips, *(to for low, _, to in builder.reads[state] if low == end)):
            before[to].append(state)
    ending, waiting = set(), [last]
    while waiting:
        state = waiting.pop()
        if state not in ending:
            ending.add(state)
            waiting += before[state]
    # A text without characters is at its beginning and at its end at the same time, so anchors come in any order.
    at_both = at_first
    while last not in at_both:
        more = builder.closed([*at_both, *stepped(at_both, begin), *stepped(at_both, end)])
        if more == at_both:
            break
        at_both = more
    if last in at_both:
        builder.skips[start].append(finish)
    for state in ending:
        builder.skips[state].append(finish)
    for state, row in enumerate(builder.reads):
        builder.reads[state] = [edge for edge in row if edge[0] not in (begin, end)]
    return builder.finish(start, finish)
