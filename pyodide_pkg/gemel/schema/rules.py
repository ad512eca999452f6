"""Rules of GBNF: their names, those that are equal or repeat others, automata as rules, and rules that never end."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Sequence
from json.encoder import encode_basestring as as_json

from .automaton import SURROGATES, Automaton, TooLargeError, furthest_end, n_counted, nearest_end, without_surrogates
from .errors import refused
from .work import spend

RULES_MAX = 100_000
PASSES_MAX = 5
NAMED_FROM, ASCII_LAST = 64, 0x7F   # states of an automaton whose classes are rules; the last character of one byte
OTHERS_MAX = 200_000   # characters of the names that an object lists
BLOCK, SPELT_MAX = 256, 1024   # repetitions of a block; up to so many are written as they are
COMMON = r"""value ::= "null" | "true" | "false" | number | string | array | object
array ::= "[" (value ("," value)*)? "]"
object ::= "{" (pair ("," pair)*)? "}"
pair ::= string ":" value
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1F] | escape
escape ::= "\\" (["\\bfnrt] | "u00" ("0" ([0-7] | "b" | "e" | "f") | "1" [0-9a-f]))
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [+-]? [0-9]+)?"""
ESCAPED = (*range(0x20), 0x22, 0x5C)   # characters that JSON can't write as they are
EMPTY = '""'
NUMBER = "\n"   # stands for a number; no rule has a line break
SPACED = {'(","': '("," " "?', '":"': '":" " "?'}   # of COMMON, where a space may follow a comma or a colon
Alternative = tuple[str, ...]   # pieces; one that is the name of a rule is what the alternative needs


def quoted(text: str) -> str:
    """Return a text as GBNF writes it."""
    if text.isascii() and text.isprintable():
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    out = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif 0x20 <= code < 0x7F:
            out.append(char)
        else:
            out.append(f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}")
    return '"' + "".join(out) + '"'


def in_class(code: int) -> str:
    """Return a character as a class of GBNF writes it."""
    if chr(code).isascii() and chr(code).isalnum():
        return chr(code)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def class_of(pieces: Sequence[tuple[int, int]]) -> str:
    """Return a class of GBNF; surrogates are no characters."""
    out = []
    for low, high in pieces:
        for a, b in ((low, min(high, 0xD7FF)), (max(low, 0xE000), high)):
            if a <= b:
                out.append(in_class(a) if a == b else f"{in_class(a)}-{in_class(b)}")
    return "[" + "".join(out) + "]" if out else ""


def rule_of(piece: str) -> str:
    """Return a piece without its repetition."""
    return piece if piece[0] in '"[' else piece.partition("{")[0].rstrip("*")


def may_be_absent(piece: str) -> bool:
    """Whether a piece may be repeated zero times."""
    return piece[0] not in '"[' and (piece.endswith("*") or "{0," in piece)


class Needed(dict[str, str]):
    """The rule that a piece needs, of those in `rules`; "" if it needs none."""

    def __init__(self, rules: Container[str]) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, piece: str) -> str:
        if piece in self._rules:
            rule = piece
        else:
            rule = "" if may_be_absent(piece) or rule_of(piece) not in self._rules else rule_of(piece)
        self[piece] = rule
        return rule


def common(*, is_spaced: bool = False) -> str:
    """Return the rules that those of all schemas use. is_spaced: a space may follow each comma and colon."""
    return spaced(COMMON) if is_spaced else COMMON


def spaced(rules: str) -> str:
    """Return rules of JSON values with spaces that may follow commas and colons."""
    for compact, loose in SPACED.items():
        rules = rules.replace(compact, loose)
    return rules


class Rules:
    """The rules of one schema. Their names begin with `prefix`, so that those of several may be in one grammar.

    Attributes:
        of: the alternatives of each rule, by name
        comma: the piece between two members or items
        space: what a name of a member has behind its colon
        unique: names of rules whose texts a list may have once
    """

    def __init__(self, path: Sequence[str], *, prefix: str = "", is_spaced: bool = False) -> None:
        self.of: dict[str, list[Alternative]] = {}
        self.comma = '"," " "?' if is_spaced else '","'
        self.space = ' " "?' if is_spaced else ""
        self._prefix = prefix
        self.unique: set[str] = set()
        self._path = path   # [0]: of the schema that is written
        self._lines: list[str] = []   # the rules of automata, which all end
        self._n = 0
        self._of_ranges: dict[tuple[tuple[tuple[int, int], ...], bool, bool], list[str]] = {}
        self._of_reads: dict[tuple[str, ...], str] = {}
        self._of_pieces: dict[tuple[str, ...], str] = {}
        self._of_parts: dict[tuple[Alternative, ...], str] = {}
        self._of_automaton: dict[tuple[int, int | None, bool], str] = {}
        self._of_texts: dict[tuple[str, frozenset[str]], str] = {}
        self._kept: list[Automaton] = []   # so that their ids stay theirs

    def lines(self, first: str) -> list[str]:
        """Return the rules that `first` needs, besides the common ones; none if it never ends."""
        self._drop_dead_ends()
        if not self.of.get(first, [()]):
            return []
        rules = []
        for rule, alternatives in self.of.items():
            if alternatives:
                name = f"{rule} @unique" if rule in self.unique else rule
                rules.append(f"{name} ::= {' | '.join(' '.join(pieces) for pieces in alternatives)}")
        return [*rules, *self._lines]

    def add_common(self, rules: str, first: str) -> str:
        """Add rules that many grammars have, if they are not there. Return the name of one of them here."""
        own = dict.fromkeys(re.findall(r"^([a-z-]+) ::=", rules, re.MULTILINE))
        text = re.sub("|".join(sorted(own, key=len, reverse=True)), lambda name: self._prefix + name[0], rules)
        text = spaced(text) if self.space else text
        if text not in self._lines:
            self._lines.append(text)
        return self._prefix + first

    def _drop_dead_ends(self) -> None:
        """Remove alternatives that need a rule which never ends."""
        needed = Needed(self.of)
        ends = {""}
        rule_needed = needed.__getitem__

        def is_ended(pieces: Alternative) -> bool:
            return ends.issuperset(map(rule_needed, pieces))

        waiting = list(self.of)
        for i in range(PASSES_MAX):   # values need rules that were made after them, members those made before
            n_before = len(ends)
            for rule in waiting if i % 2 else reversed(waiting):
                for pieces in self.of[rule]:
                    if ends.issuperset(map(rule_needed, pieces)):
                        ends.add(rule)
                        break
            waiting = [rule for rule in waiting if rule not in ends]
            if not waiting or len(ends) == n_before:
                break
        else:
            self._end_those_that_wait(waiting, ends, needed)
        absent = self.of.keys() - ends
        for rule, alternatives in self.of.items() if absent else ():
            self.of[rule] = [
                tuple(piece for piece in pieces if rule_of(piece) not in absent) or (EMPTY,)
                for pieces in alternatives if is_ended(pieces)
            ]   # fmt: skip

    def _end_those_that_wait(self, rules: list[str], ends: set[str], needed: dict[str, str]) -> None:
        """Add to `ends` the rules that end, each as soon as what it needs does."""
        users: dict[str, list[tuple[str, int]]] = {}
        missing: dict[tuple[str, int], int] = {}
        for rule in rules:
            for i, pieces in enumerate(self.of[rule]):
                needs = {needed[piece] for piece in pieces} - ends
                missing[rule, i] = len(needs)
                for need in needs:
                    users.setdefault(need, []).append((rule, i))
        waiting = [rule for (rule, _), n in missing.items() if not n]
        while waiting:
            rule = waiting.pop()
            if rule in ends:
                continue
            ends.add(rule)
            for user in users.get(rule, []):
                missing[user] -= 1
                if not missing[user]:
                    waiting.append(user[0])

    def new(self) -> str:
        """Return the name of a new rule, without alternatives."""
        self._count(1)
        spend(4)
        name = f"{self._prefix}r{len(self.of)}"
        self.of[name] = []
        return name

    def _count(self, n: int) -> None:
        """Count new rules."""
        self._n += n
        if self._n > RULES_MAX:
            raise refused(self._path[0], f"it needs more than {RULES_MAX} rules: shorten or split it")

    # ---- Repetition -------------------------------------------------------------------------------------------------

    def written(self, *pieces: str) -> str:
        """Return the rule of an alternative; equal ones share it."""
        if pieces not in self._of_pieces:
            self._of_pieces[pieces] = self.new()
            self.of[self._of_pieces[pieces]] = [pieces]
        return self._of_pieces[pieces]

    def repeated(self, unit: str, least: int, most: int | None) -> Alternative:
        """Return a rule, least..most times: rules for 256, 256 * 256, ... times keep large numbers small."""
        if most is None:
            return (*self._exactly(unit, least), f"{unit}*")
        return (*self._exactly(unit, least), *self._up_to(unit, most - least))

    def _exactly(self, unit: str, n: int) -> Alternative:
        if n <= SPELT_MAX:
            return (f"{unit}{{{n}}}",) if n else ()
        return (*self._exactly(self.written(f"{unit}{{{BLOCK}}}"), n // BLOCK), *self._exactly(unit, n % BLOCK))

    def _up_to(self, unit: str, n: int) -> Alternative:
        if n <= SPELT_MAX:
            return (f"{unit}{{0,{n}}}",) if n else ()
        block = self.written(f"{unit}{{{BLOCK}}}")
        blocks, rest = divmod(n, BLOCK)
        rule = self.new()   # all blocks, and up to the rest; or fewer, and up to a block less one
        self.of[rule] = [
            (*self._exactly(block, blocks), *self._up_to(unit, rest)) or (EMPTY,),
            (*self._up_to(block, blocks - 1), f"{unit}{{0,{BLOCK - 1}}}"),
        ]
        return (rule,)

    # ---- Texts ------------------------------------------------------------------------------------------------------

    def one_of(self, texts: Iterable[str]) -> str:
        """Return the rule of these texts, as JSON strings."""
        return self._list("tree", frozenset(texts))

    def others(self, texts: Sequence[str]) -> str:
        """Return the rule of what is between the quotes of all other JSON strings. TooLargeError."""
        if sum(map(len, texts)) > OTHERS_MAX:
            raise TooLargeError
        return self._list("others", frozenset(texts))

    def _list(self, kind: str, texts: frozenset[str]) -> str:
        if (kind, texts) not in self._of_texts:
            self._count(1)
            spend(8 * len(texts))
            name = self._of_texts[kind, texts] = f"{self._prefix}l{len(self._of_texts)}"
            written = [as_json(one) for one in sorted(texts)]
            written = written if kind == "tree" else [one[1:-1] for one in written]
            self._lines.append(f"{name} @{kind} ::= {' | '.join(map(quoted, written))}")
        return self._of_texts[kind, texts]

    # ---- Automata --------------------------------------------------------------------------------------------------

    def automaton(self, automaton: Automaton, *, is_json: bool) -> str:
        """Return the rule of an automaton's first state. is_json: as the characters of a JSON string."""
        return self._written_once(automaton, None, is_json=is_json)

    def counted(self, automaton: Automaton, most: int) -> str:
        """Return the rule of an automaton's texts of up to `most` characters, as those of a JSON string."""
        far = automaton.longest
        return self._written_once(automaton, None if far is not None and far <= most else most, is_json=True)

    def _written_once(self, automaton: Automaton, most: int | None, *, is_json: bool) -> str:
        key = (id(automaton), most, is_json)
        if key not in self._of_automaton:
            self._kept.append(automaton)
            name = self._of_automaton[key] = f"{self._prefix}a{len(self._of_automaton)}"
            if automaton.is_empty:
                self.of[name] = []
                return name
            n = len(automaton.ends) if most is None else n_counted(automaton, most)
            steps = self._steps(automaton, is_json=is_json, is_named=n > NAMED_FROM)
            if steps is None:
                return self._written_once(without_surrogates(automaton), most, is_json=is_json)
            self._count(n)
            if most is None:
                self._write_automaton(automaton, steps, name)
            else:
                self._write_counted(automaton, steps, name, most)
        return self._of_automaton[key]

    def _steps(self, automaton: Automaton, *, is_json: bool, is_named: bool) -> list[list[tuple[str, int]]] | None:
        """Return what each state reads, and where that leads. None: some edge reads only halves of surrogate pairs."""
        steps: list[list[tuple[str, int]]] = []
        reads: dict[tuple[tuple[int, int], ...], list[str]] = {}
        for row in automaton.edges:
            targets: dict[int, list[tuple[int, int]]] = {}
            for low, high, target in row:
                if low >= SURROGATES[0] and high <= SURROGATES[1]:
                    return None
                if target in targets:
                    targets[target].append((low, high))
                else:
                    targets[target] = [(low, high)]
            step = []
            for target, listed in targets.items():
                ranges = tuple(listed)
                found = reads.get(ranges)
                if found is None:
                    found = reads[ranges] = self._read(ranges, is_json=is_json, is_named=is_named)
                step += [(read, target) for read in found]
            steps.append(step)
        return steps

    def _write_automaton(self, automaton: Automaton, steps: list[list[tuple[str, int]]], first: str) -> None:
        names = [first, *(f"{first}-{state}" for state in range(1, len(steps)))]
        for name, row, is_end in zip(names, steps, automaton.ends, strict=True):
            parts = [f"{read} {names[target]}" for read, target in row]
            self._lines.append(f"{name} ::= {' | '.join([*parts, EMPTY] if is_end else parts)}")

    def _write_counted(
        self, automaton: Automaton, steps: list[list[tuple[str, int]]], first: str, most: int
    ) -> None:
        """Write a rule for each state and number of characters before it, as far as an end can be reached."""
        near, far = nearest_end(automaton), furthest_end(automaton)
        furthest, shortest = max(near), min(far)
        level, lines, ends = {0: first}, self._lines, automaton.ends
        whole: dict[int, str] = {}   # states from which characters are not counted, because all texts fit
        alike: dict[int, tuple[str, list[int]]] = {}   # what counts wherever it leads: the text, and where
        for n in range(most + 1):
            after: dict[int, str] = {}
            if len(level) == 1 and (loop := self._loop(steps, ends, *level)):   # whatever follows is the same
                lines.append(f"{level.popitem()[1]} ::= {' '.join(self.repeated(loop, 0, most - n)) or EMPTY}")
                break
            is_alike, number = n + 1 + furthest <= most < n + 1 + shortest, str(n + 1)
            for state, name in level.items():
                if is_alike:
                    if state not in alike:
                        alike[state] = self._counting(steps[state], f"{first}-{NUMBER}-", is_end=ends[state])
                    text, leads = alike[state]
                    lines.append(f"{name} ::= {text.replace(NUMBER, number)}")
                    after |= {target: f"{first}-{n + 1}-{target}" for target in leads if target not in after}
                    continue
                parts = []
                for read, target in steps[state]:
                    if n + 1 + near[target] > most:
                        continue
                    if n + 1 + far[target] <= most:
                        parts.append(f"{read} {whole.setdefault(target, f'{first}-u{target}')}")
                        continue
                    if target not in after:
                        after[target] = f"{first}-{n + 1}-{target}"
                    parts.append(f"{read} {after[target]}")
                if ends[state]:
                    parts.append(EMPTY)
                lines.append(f"{name} ::= {' | '.join(parts)}")
            spend(4 * len(level))
            level = after
        self._write_whole(steps, ends, whole, first)

    @staticmethod
    def _counting(row: list[tuple[str, int]], name: str, *, is_end: bool) -> tuple[str, list[int]]:
        """Return the alternatives of a state whose edges all lead to a state that counts, and those states."""
        parts = [f"{read} {name}{target}" for read, target in row]
        return " | ".join([*parts, EMPTY] if is_end else parts), [target for _, target in row]

    def _write_whole(
        self, steps: list[list[tuple[str, int]]], ends: Sequence[bool], whole: dict[int, str], first: str
    ) -> None:
        """Write the rules of states from which characters are not counted, and of those that they lead to."""
        order = list(whole)
        for state in order:
            parts = []
            for read, target in steps[state]:
                if target not in whole:
                    whole[target] = f"{first}-u{target}"
                    order.append(target)
                parts.append(f"{read} {whole[target]}")
            self._lines.append(f"{whole[state]} ::= {' | '.join([*parts, EMPTY] if ends[state] else parts)}")

    def _loop(self, steps: list[list[tuple[str, int]]], ends: Sequence[bool], state: int) -> str:
        """Return the rule of a character that leads back to a state where a text may end; "": there is another way."""
        if not ends[state] or not steps[state] or any(to != state for _, to in steps[state]):
            return ""
        reads = tuple([read for read, _ in steps[state]])
        return reads[0] if len(reads) == 1 else self._named(reads)

    def _named(self, reads: tuple[str, ...]) -> str:
        """Return a rule that reads what one of these does."""
        if reads not in self._of_reads:
            self._count(1)
            self._of_reads[reads] = f"{self._prefix}c{len(self._lines)}"
            self._lines.append(f"{self._of_reads[reads]} ::= {' | '.join(reads)}")
        return self._of_reads[reads]

    def _read(self, ranges: tuple[tuple[int, int], ...], *, is_json: bool, is_named: bool) -> list[str]:
        """Return what reads a character of these ranges. is_named: one rule, if that takes fewer states."""
        key = (ranges, is_json, is_named)
        if key not in self._of_ranges:
            found = self._written_characters(ranges) if is_json else [class_of(ranges)]
            found = [read for read in found if read]
            if is_named and (len(found) > 1 or ranges[-1][1] > ASCII_LAST) and found:
                found = [self._named(tuple(found))]
            self._of_ranges[key] = found
        return self._of_ranges[key]

    def _written_characters(self, ranges: Sequence[tuple[int, int]]) -> list[str]:
        found: list[int] = []
        for low, high in ranges:
            found += ESCAPED[bisect_left(ESCAPED, low) : bisect_right(ESCAPED, high)]
        plain = []
        for low, high in ranges:
            at = max(low, 0x20)
            for code in (0x22, 0x5C):
                if at <= code <= high:
                    if at < code:
                        plain.append((at, code - 1))
                    at = code + 1
            if at <= high:
                plain.append((at, high))
        reads = [class_of(plain)] if plain else []
        if len(found) == len(ESCAPED):
            return [*reads, "escape"]
        return reads + [quoted(as_json(chr(code))[1:-1]) for code in found]

    def shared(self, parts: tuple[Alternative, ...]) -> str:
        """Return the rule of these alternatives; equal ones share it."""
        if len(parts) == 1 and len(parts[0]) == 1:
            return parts[0][0]
        if parts not in self._of_parts:
            self._of_parts[parts] = self.new()
            self.of[self._of_parts[parts]] = list(parts)
        return self._of_parts[parts]
