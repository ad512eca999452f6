"""Calls without a marker, at the beginning of an answer: an object with a tool's name and arguments, maybe in a fence.

Small models write them where they should write a marker. They are calls as soon as the name of a tool is complete.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping

from .scanner import SPACES, OffError, Scanner, Steps

FENCES = ("", "```json", "```")
HEADS = [(SPACES, fence, SPACES, "{", SPACES, '"name"', SPACES, ":", SPACES, '"') for fence in FENCES]   # before a name
Place = tuple[int, int, int]           # in a head: which, which item of it, how much of that was read
State = frozenset[Place] | str | None  # places in heads; the beginning of a name; None: no call
ANYWHERE = "spaces"


def _closed(places: Iterable[Place]) -> State:
    """Return places with all that no character leads to: behind spaces, which may be absent, and behind items."""
    found, waiting = set(), list(places)
    while waiting:
        which, item, at = place = waiting.pop()
        if place in found:
            continue
        found.add(place)
        head = HEADS[which]
        if item == len(head):
            return ""   # all heads end alike
        if head[item] == SPACES or at == len(head[item]):
            waiting.append((which, item + 1, 0))
    return frozenset(found) or None


class Beginnings:
    """The states of a text that may begin with a call of some tools.

    Attributes:
        start: the state of an empty text
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Take the tools' names."""
        self._nexts: dict[str, set[str]] = {}   # of each beginning of a name: the characters that may follow
        for name in names:
            for n, char in enumerate(f'{name}"'):
                self._nexts.setdefault(name[:n], set()).add(char)
        self.start: State = _closed((which, 0, 0) for which in range(len(HEADS)))

    def nexts(self, state: State) -> list[str]:
        """Return the characters that may follow in a call."""
        if isinstance(state, str):
            return sorted(self._nexts[state])
        found: set[str] = set()
        for which, item, at in state or ():
            text = HEADS[which][item]
            found |= set(text) if text == SPACES else set(text[at : at + 1])
        return sorted(found)

    def ends(self, state: State, char: str) -> bool:
        """Return whether a character ends the name of a tool: from here on the text is a call."""
        return isinstance(state, str) and char == '"' and char in self._nexts[state]

    def after(self, state: State, char: str) -> State:
        """Return the state behind a character that does not end a name."""
        if isinstance(state, str):
            return state + char if char in self._nexts[state] else None
        found: list[Place] = []
        for which, item, at in state or ():
            text = HEADS[which][item]
            if text == SPACES:
                found += [(which, item, 0)] if char in SPACES else []
            elif text[at : at + 1] == char:
                found.append((which, item, at + 1))
        return _closed(found)


def not_begun(beginnings: Beginnings, text: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the rule of texts that do not begin with a call, and the rules that it needs.

    text: the rules of a text that goes on, by the characters that it can't go on with in the usual way; "": the others.
    """
    from ..schema.rules import EMPTY, in_class

    names, waiting, lines = {beginnings.start: "free"}, [beginnings.start], []
    while waiting:
        state = waiting.pop()
        nexts = beginnings.nexts(state)
        parts = [EMPTY]
        for char in nexts:
            if beginnings.ends(state, char):
                continue
            after = beginnings.after(state, char)
            if after not in names:
                names[after] = f"free-{len(names)}"
                waiting.append(after)
            parts.append(f"[{in_class(ord(char))}] {names[after]}")
        others = [char for char in text if char and char not in nexts]
        parts += [f"[{in_class(ord(char))}] {text[char]}" for char in others]
        parts.append(f"[^{''.join(in_class(ord(char)) for char in [*nexts, *others])}] {text['']}")
        lines.append(f"{names[state]} ::= {' | '.join(parts)}")
    return names[beginnings.start], lines


def calls(arguments: Mapping[str, str]) -> list[str]:
    """Return the rule of a whole call, and those that it needs. arguments: their rules, by the tools' names."""
    from ..schema.rules import quoted

    tools = " | ".join(quoted(name + '"') + f" bare-next {rule}" for name, rule in arguments.items())
    fences = " | ".join(map(quoted, FENCES))
    return [
        f"{ANYWHERE} ::= [ \\t\\r\\n]*",
        "bare-next ::= " + _spaced("", quoted(","), quoted('"arguments"'), quoted(":"), ""),
        "bare-head ::= " + _spaced("", f"({fences})", quoted("{"), quoted('"name"'), quoted(":"), quoted('"')),
        f"bare ::= bare-head ({tools}) " + _spaced("", quoted("}"), quoted("```") + "?", ""),
    ]


def _spaced(*pieces: str) -> str:
    return f" {ANYWHERE} ".join(pieces).strip()


def name_of(scanner: Scanner, names: Iterable[str]) -> Generator[None, None, str]:
    """Return the name of the tool whose call a text begins, or "", as soon as that is known. The text is not taken."""
    beginnings, at, name = Beginnings(names), 0, ""
    state = beginnings.start
    while True:
        for char in scanner.rest[at:]:
            if beginnings.ends(state, char):
                return name
            state = beginnings.after(state, char)
            if state is None:
                return ""
            name = state if isinstance(state, str) else ""
        at = len(scanner.rest)
        if scanner.is_last:
            return ""
        yield


def before_arguments(scanner: Scanner, name: str) -> Steps:
    """Read a call up to its arguments."""
    yield from scanner.spaces()
    yield from scanner.one_of(FENCES)
    for text in ("{", '"name"', ":", f'"{name}"', ",", '"arguments"', ":"):
        yield from scanner.spaces()
        if not (yield from scanner.one_of([text])):
            raise OffError
    yield from scanner.spaces()


def behind_arguments(scanner: Scanner) -> Steps:
    """Read the rest of a call."""
    yield from scanner.spaces()
    yield from scanner.one_of(["}"])
    yield from scanner.spaces(must_go_on=False)
    yield from scanner.one_of(["", "```"])
