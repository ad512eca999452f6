"""Shapes to GBNF: compact JSON, members in the schema's order unless any order is wanted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from .automaton import ANY, Automaton, TooLargeError, both, literal, without, without_surrogates
from .errors import not_enforced, refused
from .reader import TOO_LONG, Reader
from .shape import Items, Members, Node, Place, Shape, Text, joined
from .work import spend

RULES_MAX = 100_000
ANY_ORDER_MAX = 10
UNIQUE_MAX = 8
CONTAINS_MAX = 6
PATTERNS_MAX = 6
SOME_MAX = 6
BLOCK, SPELT_MAX = 256, 1024   # repetitions of a block; up to so many are written as they are
COMMON = r"""value ::= "null" | "true" | "false" | number | string | array | object
array ::= "[" (value ("," value)*)? "]"
object ::= "{" (pair ("," pair)*)? "}"
pair ::= string ":" value
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1F] | escape
escape ::= "\\" (["\\bfnrt] | "u00" ("0" ([0-7] | "b" | "e" | "f") | "1" [0-9a-f]))
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [+-]? [0-9]+)?"""


def quoted(text: str) -> str:
    """Return a text as GBNF writes it."""
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


EMPTY = '""'
Alternative = tuple[str, ...]   # pieces; one that is the name of a rule is what the alternative needs
Way = tuple[Alternative, int]   # a member, and bits: which Some of its object it meets


class Writer:
    """Writes the rules that a reader's shapes need."""

    def __init__(self, reader: Reader, *, any_order: bool) -> None:
        self.reader, self.any_order, self.possible = reader, any_order, reader.possible.node
        self.rules: dict[str, list[Alternative]] = {}
        self.automata: list[str] = []   # the rules of automata, as lines: all of them end
        self._n_rules = 0
        self._of_node: dict[Node, str] = {}
        self._of_ranges: dict[tuple[tuple[tuple[int, int], ...], bool], list[str]] = {}
        self._of_names: dict[tuple[object, ...], list[tuple[tuple[bool, ...], Automaton]]] = {}
        self._of_pieces: dict[tuple[str, ...], str] = {}
        self._of_pair: dict[tuple[str, Node], str] = {}
        self._waiting: list[Node] = []   # whose rules are not written yet
        self._of_automaton: dict[tuple[int, bool], str] = {}
        self._kept: list[Automaton] = []   # so that their ids stay theirs

    def text(self, root: Node) -> str:
        """Return the grammar of a node's values."""
        if not self.possible(root):
            raise refused(root[0].path if root else "#", "no value can satisfy it")
        name = self.value(root)
        while self._waiting:
            node = self._waiting.pop()
            self.reader.path[0] = node[0].path
            parts = [part for shape in self.reader.shapes(node) for part in self._parts(node, shape)]
            self.rules[self._of_node[node]] = list(dict.fromkeys(parts))
        self._drop_dead_ends()
        if not self.rules.get(name, [()]):
            raise refused(root[0].path if root else "#", "no value can satisfy it")
        rules = [f"root ::= {name}"]
        for rule, alternatives in self.rules.items():
            if alternatives:
                rules.append(f"{rule} ::= {' | '.join(' '.join(pieces) for pieces in alternatives)}")
        return "\n".join([*rules, *self.automata, COMMON]) + "\n"

    def _drop_dead_ends(self) -> None:
        """Remove alternatives that need a rule which never ends."""
        users: dict[str, list[tuple[str, int]]] = {}
        missing: dict[tuple[str, int], int] = {}
        needed: dict[str, str] = {}   # the rule that a piece needs; "" if it needs none
        for rule, alternatives in self.rules.items():
            for i, pieces in enumerate(alternatives):
                for piece in pieces:
                    if piece not in needed:
                        is_needed = not may_be_absent(piece) and rule_of(piece) in self.rules
                        needed[piece] = rule_of(piece) if is_needed else ""
                needs = {needed[piece] for piece in pieces} - {""}
                missing[rule, i] = len(needs)
                for need in needs:
                    users.setdefault(need, []).append((rule, i))
        ends: set[str] = set()
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
        absent = self.rules.keys() - ends
        for rule, alternatives in self.rules.items() if absent else ():
            kept = [pieces for i, pieces in enumerate(alternatives) if not missing[rule, i]]
            self.rules[rule] = [
                tuple(piece for piece in pieces if rule_of(piece) not in absent) or (EMPTY,) for pieces in kept
            ]

    def _rule(self) -> str:
        self._count(1)
        spend(4)
        name = f"r{len(self.rules)}"
        self.rules[name] = []
        return name

    def _count(self, n: int) -> None:
        """Count new rules."""
        self._n_rules += n
        if self._n_rules > RULES_MAX:
            raise refused(self.reader.path[0], f"it needs more than {RULES_MAX} rules: shorten or split it")

    # ---- Values -----------------------------------------------------------------------------------------------------

    def value(self, node: Node) -> str:
        """Return the rule of a node, which must be possible."""
        if not node:
            return "value"
        if node not in self._of_node:
            self._of_node[node] = self._rule()
            self._waiting.append(node)   # not now: values may be nested deep
        return self._of_node[node]

    def _parts(self, node: Node, shape: Shape) -> list[Alternative]:
        if shape == self.reader.anything():
            return [("value",)]
        at = node[0]
        parts: list[Alternative] = [(quoted(constant),) for constant in sorted(shape.constants)]
        if shape.number is not None:
            parts.append((self._automaton(shape.number, is_json=False),))
        relaxed = self.reader.relaxed
        if (text := shape.string) is not None:
            any_length = replace(text, least=0, most=None)
            parts += relaxed(lambda: self._strings(at, text), lambda: self._strings(at, any_length))
        if (array := shape.array) is not None:
            parts += relaxed(lambda: self._array(at, array), lambda: self._looser_array(at, array))
        if (members := shape.object) is not None:
            parts += relaxed(lambda: self._object(at, members), lambda: [("object",)])
        return parts

    def _looser_array(self, at: Place, array: Items) -> list[Alternative]:
        """Return the arrays without what makes each item depend on the others."""
        looser = replace(array, is_unique=False)
        return self.reader.relaxed(
            lambda: self._array(at, looser), lambda: self._array(at, replace(looser, contains=()))
        )

    # ---- Repetition -------------------------------------------------------------------------------------------------

    def _written(self, *pieces: str) -> str:
        """Return the rule of an alternative; equal ones share it."""
        if pieces not in self._of_pieces:
            self._of_pieces[pieces] = self._rule()
            self.rules[self._of_pieces[pieces]] = [pieces]
        return self._of_pieces[pieces]

    def _repeated(self, unit: str, least: int, most: int | None) -> Alternative:
        """Return a rule, least..most times: rules for 256, 256 * 256, ... times keep large numbers small."""
        if most is None:
            return (*self._exactly(unit, least), f"{unit}*")
        return (*self._exactly(unit, least), *self._up_to(unit, most - least))

    def _exactly(self, unit: str, n: int) -> Alternative:
        if n <= SPELT_MAX:
            return (f"{unit}{{{n}}}",) if n else ()
        return (*self._exactly(self._written(f"{unit}{{{BLOCK}}}"), n // BLOCK), *self._exactly(unit, n % BLOCK))

    def _up_to(self, unit: str, n: int) -> Alternative:
        if n <= SPELT_MAX:
            return (f"{unit}{{0,{n}}}",) if n else ()
        block = self._written(f"{unit}{{{BLOCK}}}")
        blocks, rest = divmod(n, BLOCK)
        rule = self._rule()   # all blocks, and up to the rest; or fewer, and up to a block less one
        self.rules[rule] = [
            (*self._exactly(block, blocks), *self._up_to(unit, rest)) or (EMPTY,),
            (*self._up_to(block, blocks - 1), f"{unit}{{0,{BLOCK - 1}}}"),
        ]
        return (rule,)

    # ---- Strings and numbers ----------------------------------------------------------------------------------------

    def _strings(self, at: Place, text: Text) -> list[Alternative]:
        if text.is_any:
            return [("string",)]
        if text.texts is not None:
            return [(quoted(json.dumps(one, ensure_ascii=False)),) for one in sorted(text.texts)]
        if text.automaton is None:
            return [(r'"\""', *self._repeated("char", text.least, text.most), r'"\""')]
        return [(r'"\""', self._automaton(self._whole(at, text), is_json=True), r'"\""')]

    def _whole(self, at: Place, text: Text) -> Automaton:
        try:
            return text.whole
        except TooLargeError:
            raise not_enforced(at.path, TOO_LONG) from None

    def _automaton(self, automaton: Automaton, *, is_json: bool) -> str:
        """Return the rule of an automaton's first state. is_json: as the characters of a JSON string."""
        key = (id(automaton), is_json)
        if key not in self._of_automaton:
            self._kept.append(automaton)
            self._of_automaton[key] = f"a{len(self._of_automaton)}"
            self._write_automaton(without_surrogates(automaton), self._of_automaton[key], is_json=is_json)
        return self._of_automaton[key]

    def _write_automaton(self, automaton: Automaton, first: str, *, is_json: bool) -> None:
        if automaton.is_empty:
            self.rules[first] = []
            return
        self._count(len(automaton.ends))
        names = [first, *(f"{first}-{state}" for state in range(1, len(automaton.ends)))]
        for name, row, is_end in zip(names, automaton.edges, automaton.ends, strict=True):
            targets: dict[int, list[tuple[int, int]]] = {}
            for low, high, target in row:
                targets.setdefault(target, []).append((low, high))
            parts = [
                f"{read} {names[target]}" for target, ranges in targets.items()
                for read in self._read(tuple(ranges), is_json=is_json)
            ]   # fmt: skip
            self.automata.append(f"{name} ::= {' | '.join([*parts, EMPTY] if is_end else parts)}")

    def _read(self, ranges: tuple[tuple[int, int], ...], *, is_json: bool) -> list[str]:
        """Return what reads a character of these ranges."""
        key = (ranges, is_json)
        if key not in self._of_ranges:
            found = self._written_characters(ranges) if is_json else [class_of(ranges)]
            self._of_ranges[key] = [read for read in found if read]
        return self._of_ranges[key]

    def _written_characters(self, ranges: Sequence[tuple[int, int]]) -> list[str]:
        special = [*range(0x20), 0x22, 0x5C]
        found = [code for code in special if any(low <= code <= high for low, high in ranges)]
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
        if len(found) == len(special):
            return [*reads, "escape"]
        return reads + [quoted(json.dumps(chr(code))[1:-1]) for code in found]

    # ---- Arrays -----------------------------------------------------------------------------------------------------

    def _array(self, at: Place, array: Items) -> list[Alternative]:
        if array.most is not None and array.most < array.least:
            return []
        if array.is_unique and (array.most is None or array.most > 1):
            return self._unique(at, array)
        if not array.contains and not array.n_prefix:
            return self._plain_array(array)
        if len(array.contains) > CONTAINS_MAX:
            raise not_enforced(f"{at.path}/contains", f"more than {CONTAINS_MAX} of them together can't be enforced")
        limits = [(one.node, one.least, one.most) for one in array.contains]
        nots = {i: self.reader.negated(node) for i, (node, _, most) in enumerate(limits) if most is not None}
        n_same = max(array.n_prefix, array.least, array.most or 0)
        states: dict[tuple[int, tuple[int, ...]], str] = {}
        start = (0, tuple(0 for _ in limits))
        states[start], waiting = self._rule(), [start]
        while waiting:
            i, counts = state = waiting.pop()
            is_end = i >= array.least and all(n >= limits[k][1] for k, n in enumerate(counts))
            parts: list[Alternative] = [('"]"',)] if is_end else []
            comma = ('","',) if i else ()
            spend(100 << len(limits))
            for which in product((0, 1), repeat=len(limits)):
                after, nodes = list(counts), [array.at(min(i, n_same))]
                for k, is_one in enumerate(which):
                    node, least, most = limits[k]
                    after[k] = min(counts[k] + is_one, least if most is None else most + 1)
                    if is_one:
                        nodes.append(node)
                    elif k in nots:
                        nodes.append(nots[k])
                over = any(most is not None and n > most for n, (_, _, most) in zip(after, limits, strict=True))
                whole = joined(*nodes)
                if over or (array.most is not None and i >= array.most) or not self.possible(whole):
                    continue
                next_state = (min(i + 1, max(n_same, 1)), tuple(after))
                if next_state not in states:
                    states[next_state] = self._rule()
                    waiting.append(next_state)
                parts.append((*comma, self.value(whole), states[next_state]))
            self.rules[states[state]] = parts
        return [('"["', states[start])]

    def _plain_array(self, array: Items) -> list[Alternative]:
        node, least, most = array.at(0), array.least, array.most
        if most == 0 or not self.possible(node):
            return [('"[]"',)] if not least else []
        item = self.value(node)
        more = self._repeated(self._written('","', item), max(least - 1, 0), None if most is None else most - 1)
        some: list[Alternative] = [('"["', item, *more, '"]"')]
        return some if least else [('"[]"',), *some]

    def _unique(self, at: Place, array: Items) -> list[Alternative]:
        """Each text at most once: only where there are few."""
        node = array.at(0)
        texts = self._finite(node)
        if array.contains or array.n_prefix or texts is None or len(texts) > UNIQUE_MAX:
            raise not_enforced(
                f"{at.path}/uniqueItems", f"can be enforced only for items of at most {UNIQUE_MAX} strings or constants"
            )
        most = len(texts) if array.most is None else min(array.most, len(texts))
        names = {0: self._rule()}
        waiting = [0]
        while waiting:
            used = waiting.pop()
            n = used.bit_count()
            parts: list[Alternative] = [('"]"',)] if n >= array.least else []
            for i, text in enumerate(texts):
                if used >> i & 1 or n >= most:
                    continue
                after = used | 1 << i
                if after not in names:
                    names[after] = self._rule()
                    waiting.append(after)
                parts.append((quoted(("," if n else "") + text), names[after]))
            self.rules[names[used]] = parts
        return [('"["', names[0])]

    def _finite(self, node: Node) -> list[str] | None:
        """Return the texts of a node's values if they are few: constants and strings."""
        found: set[str] = set()
        for shape in self.reader.shapes(node):
            if shape.number is not None or shape.array is not None or shape.object is not None:
                return None
            found |= shape.constants
            if shape.string is not None:
                texts = shape.string.texts or shape.string.whole.texts(UNIQUE_MAX)
                if texts is None:
                    return None
                found |= {json.dumps(text, ensure_ascii=False) for text in texts}
        return sorted(found)

    # ---- Objects ----------------------------------------------------------------------------------------------------

    def _object(self, at: Place, members: Members) -> list[Alternative]:
        if members.most is not None and members.most < max(members.least, len(members.required)):
            return []
        if len(members.some) > SOME_MAX:
            raise not_enforced(at.path, f"more than {SOME_MAX} members that make it differ from alternatives")
        names = self._whole(at, members.names) if not members.names.is_any else None
        known = []
        for name in members.known:
            is_allowed = (names is None or names.accepts(name)) and self.possible(members.of(name))
            if is_allowed:
                known.append(name)
            elif name in members.needs:
                return []
        try:
            extras = self._extras(at, members, names)
        except TooLargeError:
            raise not_enforced(at.path, "names of its members need too many states: shorten the patterns") from None
        if extras and members.least > len(members.needs) + 1:   # two members of other names may have the same name
            most = len(members.needs) + 1
            why = f"where names may repeat, at most {most} can be enforced: require more names, or list all of them"
            raise not_enforced(f"{at.path}/minProperties", why)
        listed = [self._ways(members, name) for name in known]
        if self.any_order and known:
            return self._in_any_order(at, members, known, listed, extras)
        return self._in_order(members, known, listed, extras)

    def _extras(self, at: Place, members: Members, names: Automaton | None) -> list[Way]:
        """Return the pairs of names that are not known, by which patterns match."""
        patterns = [(layer, automaton, node) for layer in members.layers for automaton, node in layer.patterns]
        if len(patterns) > PATTERNS_MAX:
            raise TooLargeError
        tests = [automaton for _, automaton, _ in patterns] + [some.names for some in members.some]
        ways: list[Way] = []
        for which, keys in self._classes(tuple(members.known), names, tests):
            nodes = []
            for layer in members.layers:
                own = [node for one, (of, _, node) in zip(which, patterns, strict=False) if one and of is layer]
                nodes += own or [layer.rest]
            node = joined(*nodes)
            if not self.possible(node):
                continue
            met = 0
            for i, (one, some) in enumerate(zip(which[len(patterns) :], members.some, strict=True)):
                met |= self._is_met(at, node, some.node) << i if one else 0
            key: Alternative = ("string", '":"') if keys is None else (
                r'"\""', self._automaton(keys, is_json=True), r'"\":"'
            )   # fmt: skip
            ways.append(((*key, self.value(node)), met))
        return ways

    def _is_met(self, at: Place, node: Node, wanted: Node) -> bool:
        """Whether all values of a node satisfy another one; if only some do, a name that is repeated might undo it."""
        if not wanted or not self.possible(joined(node, self.reader.negated(wanted))):
            return True
        if self.possible(joined(node, wanted)):
            why = "alternatives that differ in the values of members of any name can't be told apart: list their names"
            raise not_enforced(at.path, why)
        return False

    def _classes(
        self, known: tuple[str, ...], names: Automaton | None, tests: Sequence[Automaton]
    ) -> list[tuple[tuple[bool, ...], Automaton | None]]:
        """Return the names that are not known, by which automata match; None: all names."""
        if not tests and names is None and not known:
            return [((), None)]
        key = (known, id(names), *map(id, tests))
        if key not in self._of_names:
            first = ANY if names is None else names
            found: list[tuple[tuple[bool, ...], Automaton]] = [((), without(first, literal(known)) if known else first)]
            for test in tests:
                found = [
                    ((*which, is_in), part) for which, one in found
                    for is_in, part in ((False, without(one, test)), (True, both(one, test))) if not part.is_empty
                ]   # fmt: skip
            self._of_names[key] = [(which, one) for which, one in found if not one.is_empty]
            self._kept += [*tests, *([] if names is None else [names])]
        return list(self._of_names[key])

    def _pair(self, name: str, node: Node) -> Alternative:
        """Return the rule of a member: states share it, so that its name is written once."""
        if (name, node) not in self._of_pair:
            rule = self._of_pair[name, node] = self._rule()
            self.rules[rule] = [(quoted(json.dumps(name, ensure_ascii=False) + ":"), self.value(node))]
        return (self._of_pair[name, node],)

    def _ways(self, members: Members, name: str) -> list[Way]:
        """Return the pairs of a name that is listed, each with what it meets of what some member must be."""
        node = members.of(name)
        ways = {node: 0}
        for i, some in enumerate(members.some):
            if not some.names.accepts(name):
                continue
            for one, met in list(ways.items()):
                both_of = joined(one, some.node)
                if both_of == one or self.possible(both_of):
                    ways[both_of] = ways.get(both_of, 0) | met | 1 << i
        return [(self._pair(name, one), met) for one, met in ways.items()]

    def _cap(self, members: Members) -> int:
        """Return from which number of members on all are alike."""
        return max(members.least, 1) if members.most is None else members.most + 1

    def _in_order(
        self, members: Members, known: list[str], listed: list[list[Way]], extras: list[Way]
    ) -> list[Alternative]:
        cap, states = self._cap(members), dict[tuple[int, int, int], str]()
        top, all_met = members.most, (1 << len(members.some)) - 1

        def rule(i: int, n: int, met: int) -> str:
            if (i, n, met) not in states:
                states[i, n, met] = self._rule()
                waiting.append((i, n, met))
            return states[i, n, met]

        waiting: list[tuple[int, int, int]] = []
        start = rule(0, 0, 0)
        while waiting:
            i, n, met = waiting.pop()
            spend(10 + 10 * len(extras))
            comma = ('","',) if n else ()
            is_full = top is not None and n >= top
            parts: list[Alternative] = []
            after = min(n + 1, cap)
            if i < len(known):
                for pair, more in listed[i] if not is_full else ():
                    parts.append((*comma, *pair, rule(i + 1, after, met | more)))
                if known[i] not in members.needs:
                    parts.append((rule(i + 1, n, met),))
            else:
                parts += [(*comma, *pair, rule(i, after, met | more)) for pair, more in extras if not is_full]
                parts += [('"}"',)] if n >= members.least and met == all_met else []
            self.rules[states[i, n, met]] = parts
        return [('"{"', start)]

    def _in_any_order(
        self, at: Place, members: Members, known: list[str], listed: list[list[Way]], extras: list[Way]
    ) -> list[Alternative]:
        if len(known) > ANY_ORDER_MAX:
            raise refused(at.path, f"any_order: it is for at most {ANY_ORDER_MAX} properties, not {len(known)}")
        cap, top = self._cap(members), members.most
        needed = sum(1 << i for i, name in enumerate(known) if name in members.needs)
        all_met = (1 << len(members.some)) - 1
        states: dict[tuple[int, int, int], str] = {(0, 0, 0): self._rule()}
        waiting = [(0, 0, 0)]
        while waiting:
            used, n, met = waiting.pop()
            spend(10 * (len(known) + len(extras)))
            comma = ('","',) if n else ()
            steps = [(way, used | 1 << i) for i, ways in enumerate(listed) if not used >> i & 1 for way in ways]
            steps += [(way, used) for way in extras]
            is_end = n >= members.least and used & needed == needed and met == all_met
            parts: list[Alternative] = [('"}"',)] if is_end else []
            for (pair, more), after in steps:
                state = (after, min(n + 1, cap), met | more)
                if top is not None and n >= top:
                    continue
                if state not in states:
                    states[state] = self._rule()
                    waiting.append(state)
                parts.append((*comma, *pair, states[state]))
            self.rules[states[used, n, met]] = parts
        return [('"{"', states[0, 0, 0])]
