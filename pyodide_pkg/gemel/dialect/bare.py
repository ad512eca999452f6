"""Calls without a marker, at the beginning of an answer: an object with a tool's name and arguments, maybe in a fence.

Small models write them where they should write a marker. They are calls as soon as the name of a tool is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..schema.rules import EMPTY, in_class, quoted
from .scanner import SPACES, OffError, Scanner, Steps

FENCES = ("", "```json", "```")
Place = tuple[int, int, int]   # in a pattern: which, which item of it, how much of that was read
Pattern = tuple[str, ...]      # texts; SPACES: any number of these
ANYWHERE = "spaces"
SPACE_RULE = f"{ANYWHERE} ::= [ \\t\\r\\n]*"


def patterns(names: Iterable[str]) -> list[Pattern]:
    """Return the beginnings of calls of these tools."""
    return [
        (SPACES, fence, SPACES, "{", SPACES, '"name"', SPACES, ":", SPACES, f'"{name}"')
        for name in names for fence in FENCES
    ]  # fmt: skip


def _closed(given: list[Pattern], places: Iterable[Place]) -> frozenset[Place]:
    """Return places with all that no character leads to: behind spaces, which may be absent, and behind items."""
    found, waiting = set(), list(places)
    while waiting:
        which, item, at = place = waiting.pop()
        if place in found:
            continue
        found.add(place)
        if item < len(given[which]) and (given[which][item] == SPACES or at == len(given[which][item])):
            waiting.append((which, item + 1, 0))
    return frozenset(found)


def _after(given: list[Pattern], places: Iterable[Place], char: str) -> frozenset[Place]:
    found: list[Place] = []
    for which, item, at in places:
        if item == len(given[which]):
            continue
        text = given[which][item]
        if text == SPACES:
            found += [(which, item, 0)] if char in SPACES else []
        elif text[at : at + 1] == char:
            found.append((which, item, at + 1))
    return _closed(given, found)


def _is_whole(given: list[Pattern], places: Iterable[Place]) -> bool:
    return any(item == len(given[which]) for which, item, _ in places)


def _nexts(given: list[Pattern], places: Iterable[Place]) -> list[str]:
    """Return the characters that may follow."""
    found: set[str] = set()
    for which, item, at in places:
        if item < len(given[which]):
            text = given[which][item]
            found |= set(text) if text == SPACES else set(text[at : at + 1])
    return sorted(found)


def not_begun(given: list[Pattern], text: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the rule of texts that no pattern begins, and the rules that it needs.

    text: the rules of a text that goes on, by the characters that it can't go on with in the usual way; "": the others.
    """
    start = _closed(given, [(which, 0, 0) for which in range(len(given))])
    names, waiting, lines = {start: "free"}, [start], []
    while waiting:
        places = waiting.pop()
        nexts = _nexts(given, places)
        parts = [EMPTY]
        for char in nexts:
            after = _after(given, places, char)
            if _is_whole(given, after):
                continue
            if after not in names:
                names[after] = f"free-{len(names)}"
                waiting.append(after)
            parts.append(f"[{in_class(ord(char))}] {names[after]}")
        others = [char for char in text if char and char not in nexts]
        parts += [f"[{in_class(ord(char))}] {text[char]}" for char in others]
        parts.append(f"[^{''.join(in_class(ord(char)) for char in [*nexts, *others])}] {text['']}")
        lines.append(f"{names[places]} ::= {' | '.join(parts)}")
    return names[start], lines


def call(name: str, arguments: str) -> str:
    """Return a whole call as GBNF. arguments: their rule."""
    spaced = f" {ANYWHERE} "
    fence = f"({' | '.join(quoted(one) for one in FENCES)})"
    head = ["{", '"name"', ":", f'"{name}"', ",", '"arguments"', ":"]
    pieces = [fence, *map(quoted, head), arguments]
    return spaced.join(["", *pieces, '"}"', f"{quoted('```')}?", ""]).strip()


def begun(given: list[Pattern], text: str) -> str | None:
    """Return the name of the tool whose call a text begins, "" if it may be the beginning of one, or None."""
    places = _closed(given, [(which, 0, 0) for which in range(len(given))])
    for char in text:
        places = _after(given, places, char)
        for which, item, _ in places:
            if item == len(given[which]):
                return given[which][-1][1:-1]
        if not places:
            return None
    return ""


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
