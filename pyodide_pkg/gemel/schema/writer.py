"""Shapes to GBNF: compact JSON, members in the schema's order unless any order is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from json.encoder import encode_basestring as as_json

from .automaton import ANY, Automaton, TooLargeError, literal, parted, without
from .distinct import Distinct, anything, has_many, once
from .errors import not_enforced, refused
from .reader import TOO_LONG, Reader
from .rules import Alternative, Rules, quoted
from .shape import ANY_MEMBERS, Items, Members, Node, Place, Shape, Text, joined
from .work import spend

ANY_ORDER_MAX = 10
UNIQUE_MAX = 8
CONTAINS_MAX = 6
PATTERNS_MAX = 6
SOME_MAX = 6
LISTED_MAX = 8   # strings that are alternatives of a rule; more are a tree


Way = tuple[Alternative, int]   # a member, and bits: which Some of its object it meets


class Writer:
    """Writes the rules that a reader's shapes need."""

    names_are_json = True   # whether names of members are written as JSON writes them
    lists_are_json = True   # whether lists are, so that their items can be compared while an answer is written

    def __init__(self, reader: Reader, *, any_order: bool, prefix: str = "", is_spaced: bool = False) -> None:
        self.reader, self.any_order, self.possible = reader, any_order, reader.possible.node
        self.rules = Rules(reader.path, prefix=prefix, is_spaced=is_spaced)
        self.opens, self.comma, self.closes = '"{"', self.rules.comma, '"}"'   # of objects
        self._distinct = Distinct(reader)
        self._is_once = False   # in items of which a list has each once: a value is spelled in one way
        self._of_node: dict[tuple[Node, bool], str] = {}
        self._of_names: dict[tuple[Automaton, Automaton], list[tuple[bool, Automaton]]] = {}
        self._of_unknown: dict[tuple[int, tuple[str, ...]], Automaton] = {}
        self._of_item: dict[Node, str] = {}
        self._of_pair: dict[tuple[str, Node, bool], str] = {}
        self._of_members: dict[tuple[Members, bool], list[Alternative]] = {}
        self._of_ends: dict[object, str] = {}   # of objects whose listed members were written
        self._waiting: list[tuple[Node, bool]] = []   # whose rules are not written yet
        self._kept: list[Automaton] = []   # so that their ids stay theirs

    def lines(self, root: Node) -> tuple[str, list[str]]:
        """Return the rule of a node's values, and the rules that it needs besides the common ones."""
        if not self.possible(root):
            raise refused(root[0].path if root else "#", "no value can satisfy it")
        name = self.value(root)
        self.write_values()
        return name, self.lines_of(root, name)

    def write_values(self) -> None:
        """Write the rules of the nodes whose rules were asked for."""
        while self._waiting:
            node, self._is_once = self._waiting.pop()
            self.reader.path[0] = node[0].path
            parts = [part for shape in self.reader.shapes(node) for part in self._parts(node, shape)]
            self.rules.of[self._of_node[node, self._is_once]] = list(dict.fromkeys(parts))

    def lines_of(self, root: Node, name: str) -> list[str]:
        """Return the rules that the rule of a node needs."""
        lines = self.rules.lines(name)
        if not lines and name in self.rules.of:
            raise refused(root[0].path if root else "#", "no value can satisfy it")
        return lines

    # ---- Values -----------------------------------------------------------------------------------------------------

    def value(self, node: Node) -> str:
        """Return the rule of a node, which must be possible."""
        if not node:
            return self._anything()
        key = (node, self._is_once)
        if key not in self._of_node:
            self._of_node[key] = self.rules.new()
            self._waiting.append(key)   # not now: values may be nested deep
        return self._of_node[key]

    def _anything(self) -> str:
        return anything(self.rules) if self._is_once else "value"

    def _item(self, array: Items, node: Node) -> str:
        """Return the rule of an item: of each item once, if the list is so."""
        if not array.is_unique:
            return self.value(node)
        if node not in self._of_item:
            is_inner, self._is_once = self._is_once, True
            self._of_item[node] = self.rules.new()
            self.rules.unique.add(self._of_item[node])
            self.rules.of[self._of_item[node]] = [(self.value(node),)]
            self._is_once = is_inner
        return self._of_item[node]

    def _parts(self, node: Node, shape: Shape) -> list[Alternative]:
        if shape == self.reader.anything():
            return [(self._anything(),)]
        at = node[0]
        parts: list[Alternative] = [(quoted(constant),) for constant in sorted(shape.constants)]
        if shape.number is not None:
            number = once(at, shape.number) if self._is_once else shape.number
            parts.append((self.rules.automaton(number, is_json=False),))
        relaxed = self.reader.relaxed
        if (text := shape.string) is not None:
            parts += relaxed(
                lambda: self._strings(at, text), lambda: self._strings(at, replace(text, least=0, most=None))
            )
        if (array := shape.array) is not None:
            parts += relaxed(lambda: self._array(at, array), lambda: self._looser_array(at, array))
        if (members := shape.object) is not None:
            key = (members, self._is_once)
            if key in self._of_members:
                return parts + self._of_members[key]
            n_before = len(self.reader.unenforced)
            found: list[Alternative] = relaxed(
                lambda: self._object(at, members),
                lambda: self._object(at, ANY_MEMBERS) if self._is_once else [("object",)],
            )
            if len(self.reader.unenforced) == n_before:   # else the path is said again
                self._of_members[key] = found
            parts += found
        return parts

    def _looser_array(self, at: Place, array: Items) -> list[Alternative]:
        """Return the arrays without what makes each item depend on the others."""
        looser = replace(array, is_unique=False)
        return self.reader.relaxed(
            lambda: self._array(at, looser), lambda: self._array(at, replace(looser, contains=()))
        )

    # ---- Strings and numbers ----------------------------------------------------------------------------------------

    def _strings(self, at: Place, text: Text) -> list[Alternative]:
        if text.is_any:
            return [("string",)]
        if text.texts is not None:
            if len(text.texts) > LISTED_MAX:
                return [(self.rules.one_of(text.texts),)]
            return [(quoted(as_json(one)),) for one in sorted(text.texts)]
        if text.automaton is None and not text.excluded:
            return [(r'"\""', *self.rules.repeated("char", text.least, text.most), r'"\""')]
        if text.is_counted:
            return [(r'"\""', self._counted(at, text), r'"\""')]
        return [(r'"\""', self.rules.automaton(self._whole(at, text), is_json=True), r'"\""')]

    def _counted(self, at: Place, text: Text) -> str:
        try:
            return self.rules.counted(text.at_least, text.most or 0)
        except TooLargeError:
            raise not_enforced(at.path, TOO_LONG) from None

    def _whole(self, at: Place, text: Text) -> Automaton:
        try:
            return text.whole
        except TooLargeError:
            raise not_enforced(at.path, TOO_LONG) from None

    # ---- Arrays -----------------------------------------------------------------------------------------------------

    def _array(self, at: Place, array: Items) -> list[Alternative]:
        if array.most is not None and array.most < array.least:
            return []
        if array.is_unique and (array.most is None or array.most > 1):
            if (listed := self._listed(array)) is not None:
                return listed
            if not self.lists_are_json:
                why = f"in lists that are not JSON, only items of {UNIQUE_MAX} strings or constants can be enforced"
                raise not_enforced(f"{at.path}/uniqueItems", why)
            self._distinct.check(at, array)
            array = replace(array, most=self._distinct.most(at, array, is_inner=self._is_once))
        elif array.is_unique:
            array = replace(array, is_unique=False)
        if not array.contains and not array.n_prefix:
            return self._plain_array(array)
        if len(array.contains) > CONTAINS_MAX:
            raise not_enforced(f"{at.path}/contains", f"more than {CONTAINS_MAX} of them together can't be enforced")
        limits = [(one.node, one.least, one.most) for one in array.contains]
        nots = {i: self.reader.negated(node) for i, (node, _, most) in enumerate(limits) if most is not None}
        n_same = max(array.n_prefix, array.least, array.most or 0)
        states: dict[tuple[int, tuple[int, ...]], str] = {}
        start = (0, tuple(0 for _ in limits))
        states[start], waiting = self.rules.new(), [start]
        while waiting:
            i, counts = state = waiting.pop()
            is_end = i >= array.least and all(n >= limits[k][1] for k, n in enumerate(counts))
            parts: list[Alternative] = [('"]"',)] if is_end else []
            comma = (self.rules.comma,) if i else ()
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
                    states[next_state] = self.rules.new()
                    waiting.append(next_state)
                parts.append((*comma, self._item(array, whole), states[next_state]))
            self.rules.of[states[state]] = parts
        return [('"["', states[start])]

    def _plain_array(self, array: Items) -> list[Alternative]:
        node, least, most = array.at(0), array.least, array.most
        if most == 0 or not self.possible(node):
            return [('"[]"',)] if not least else []
        item = self._item(array, node)
        next_one = self.rules.written(self.rules.comma, item)
        more = self.rules.repeated(next_one, max(least - 1, 0), None if most is None else most - 1)
        some: list[Alternative] = [('"["', item, *more, '"]"')]
        return some if least else [('"[]"',), *some]

    def _listed(self, array: Items) -> list[Alternative] | None:
        """Return lists of few texts, each at most once; None: they are compared while the answer is written."""
        texts = None if array.contains or array.n_prefix else self._finite(array.at(0))
        if texts is None or len(texts) > UNIQUE_MAX:
            return None
        most = len(texts) if array.most is None else min(array.most, len(texts))
        names = {0: self.rules.new()}
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
                    names[after] = self.rules.new()
                    waiting.append(after)
                comma = (self.rules.comma,) if n else ()
                parts.append((*comma, self._constant(text), names[after]))
            self.rules.of[names[used]] = parts
        return [('"["', names[0])]

    def _constant(self, text: str) -> str:
        """Return the piece of a value that JSON writes so."""
        return quoted(text)

    def _finite(self, node: Node) -> list[str] | None:
        """Return the texts of a node's values if they are few: constants and strings."""
        found: set[str] = set()
        for shape in self.reader.shapes(node):
            if shape.number is not None or shape.array is not None or shape.object is not None:
                return None
            found |= shape.constants
            if shape.string is not None:
                if shape.string.texts is None and has_many(shape.string.whole):
                    return None
                texts = shape.string.texts or shape.string.whole.texts(UNIQUE_MAX)
                if texts is None:
                    return None
                found |= {as_json(text) for text in texts}
        return sorted(found)

    # ---- Objects ----------------------------------------------------------------------------------------------------

    def _object(self, at: Place, members: Members) -> list[Alternative]:
        if members.most is not None and members.most < max(members.least, len(members.required)):
            return []
        if len(members.some) > SOME_MAX:
            raise not_enforced(at.path, f"more than {SOME_MAX} members that make it differ from alternatives")
        known = []
        for name in members.known:
            is_allowed = members.names.accepts(name) and self.possible(members.of(name))
            if is_allowed:
                known.append(name)
            elif name in members.needs:
                return []
        try:
            extras = self._extras(at, members)
        except TooLargeError:
            raise not_enforced(at.path, "names of its members need too many states: shorten the patterns") from None
        if extras and members.least > len(members.needs) + 1:   # two members of other names may have the same name
            most = len(members.needs) + 1
            why = f"where names may repeat, at most {most} can be enforced: require more names, or list all of them"
            raise not_enforced(f"{at.path}/minProperties", why)
        listed = [self._ways(members, name) for name in known]
        if self._is_once:
            self._check_once(at, members, known, extras)
        if self.any_order and known:
            return self._in_any_order(at, members, known, listed, extras)
        return self._in_order(members, known, listed, extras)

    def _check_once(self, at: Place, members: Members, known: list[str], extras: list[Way]) -> None:
        """Raise if objects that are items of a list could be equal with no way left to differ."""
        why = "in items of uniqueItems, it can't be enforced"
        if extras and members.most is not None:
            raise not_enforced(f"{at.path}/maxProperties", f"{why} beside members of any name")
        if self.any_order and len(known) > 1:
            raise not_enforced(at.path, f"any_order: {why}")

    def _extras(self, at: Place, members: Members) -> list[Way]:
        """Return the pairs of names that are not known, by which patterns match."""
        patterns = [(layer, automaton, node) for layer in members.layers for automaton, node in layer.patterns]
        if len(patterns) > PATTERNS_MAX:
            raise TooLargeError
        tests = [automaton for _, automaton, _ in patterns] + [some.names for some in members.some]
        if self.names_are_json and members.known and members.names.is_any and not tests:
            node = joined(*(layer.rest for layer in members.layers))
            return [(self._unlisted(members, node), 0)] if self.possible(node) else []
        if self.names_are_json and not (members.known or tests or self._is_once) and members.names.is_length:
            node = joined(*(layer.rest for layer in members.layers))
            return [(self._any_name(members.names, node), 0)] if self.possible(node) else []
        names = None if members.names.is_any else self._whole(at, members.names)
        ways: list[Way] = []
        is_endless = False   # infinitely many names are possible
        known = members.known
        for which, matching in self._classes(names, tests):
            nodes = []
            for layer in members.layers:
                own = [node for one, (of, _, node) in zip(which, patterns, strict=False) if one and of is layer]
                nodes += own or [layer.rest]
            node = joined(*nodes)
            if not self.possible(node):
                continue
            keys = self._unknown(matching, known)
            if keys is not None and keys.is_empty:
                continue
            met = 0
            for i, (one, some) in enumerate(zip(which[len(patterns) :], members.some, strict=True)):
                met |= self._is_met(at, node, some.node) << i if one else 0
            ways.append((self._other(at, keys, node), met))
            is_endless = is_endless or not self._is_once or keys is None or has_many(keys)
        if ways and not is_endless:
            raise not_enforced(at.path, "in items of uniqueItems, it can't be enforced where only a few names may come")
        return ways

    def _other(self, at: Place, names: Automaton | None, node: Node) -> Alternative:
        """Return a member whose name is not listed. names: None: any."""
        if names is None:
            return ("string", '":"' + self.rules.space, self.value(node))
        name = self.rules.automaton(names, is_json=True)
        return (r'"\""', name, r'"\":"' + self.rules.space, self.value(node))

    def _unlisted(self, members: Members, node: Node) -> Alternative:
        """Return a member whose name is not listed."""
        return (r'"\""', self.rules.others(members.known), r'"\":"' + self.rules.space, self.value(node))

    def _any_name(self, names: Text, node: Node) -> Alternative:
        """Return a member whose name has any characters, and so many."""
        characters = self.rules.repeated("char", names.least, names.most)
        return (r'"\""', *characters, r'"\":"' + self.rules.space, self.value(node))

    def _is_met(self, at: Place, node: Node, wanted: Node) -> bool:
        """Whether all values of a node satisfy another one; if only some do, a name that is repeated might undo it."""
        if not wanted or not self.possible(joined(node, self.reader.negated(wanted))):
            return True
        if self.possible(joined(node, wanted)):
            why = "alternatives that differ in values of members of any name can't be distinguished: list the names"
            raise not_enforced(at.path, why)
        return False

    def _classes(
        self, names: Automaton | None, tests: Sequence[Automaton]
    ) -> list[tuple[tuple[bool, ...], Automaton | None]]:
        """Return all names by which automata match; None: any name."""
        if not tests:
            return [((), names)]
        found: list[tuple[tuple[bool, ...], Automaton]] = [((), ANY if names is None else names)]
        for test in tests:
            found = [
                ((*which, is_in), part) for which, one in found for is_in, part in self._parted(one, test)
            ]   # fmt: skip
        return list(found)

    def _parted(self, names: Automaton, test: Automaton) -> list[tuple[bool, Automaton]]:
        """Return the names that are not in `test`, and those that are."""
        if (names, test) not in self._of_names:
            self._of_names[names, test] = parted(names, test)
        return self._of_names[names, test]

    def _unknown(self, names: Automaton | None, known: Sequence[str]) -> Automaton | None:
        """Return names without those that are known; None: any name."""
        listed = tuple(known if names is None else [name for name in known if names.accepts(name)])
        if not listed:
            return names
        key = (id(names), listed)
        if key not in self._of_unknown:
            self._of_unknown[key] = without(ANY if names is None else names, literal(listed))
            self._kept += [] if names is None else [names]
        return self._of_unknown[key]

    def _pair(self, name: str, node: Node) -> Alternative:
        """Return the rule of a member: states share it, so that its name is written once."""
        at = (name, node, self._is_once)
        if at not in self._of_pair:
            spend(8)
            rule = self._of_pair[at] = self.rules.new()
            key = quoted(as_json(name) + ":") + self.rules.space
            self.rules.of[rule] = [(key, self.value(node))]
        return (self._of_pair[at],)

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
        """Write rules from the last member to the first: each is how an object goes on. Equal ones are written once."""
        cap, top = self._cap(members), members.most
        reached: list[set[tuple[int, int]]] = [{(0, 0)}]   # before each member: how many there are, what they meet
        for name, ways in zip(known, listed, strict=True):
            spend(6 * len(reached[-1]))
            is_needed = name in members.needs
            after = {
                (min(n + 1, cap), met | more) for n, met in reached[-1] if top is None or n < top for _, more in ways
            }
            reached.append(after if is_needed else after | reached[-1])
        names = {state: self._end(members, extras, *state) for state in reached.pop()}
        for name, ways in zip(reversed(known), reversed(listed), strict=True):
            before = {}
            states, is_needed = sorted(reached.pop()), name in members.needs
            spend((8 * len(ways) + 8) * len(states))
            for n, met in states:
                comma = (self.comma,) if n else ()
                parts: list[Alternative] = [
                    (*comma, *pair, names[min(n + 1, cap), met | more]) for pair, more in ways if top is None or n < top
                ]
                parts += [] if is_needed else [(names[n, met],)]
                before[n, met] = self.rules.shared(tuple(parts))
            names = before
        return [(self.opens, names[0, 0])]

    def _end(self, members: Members, extras: list[Way], n: int, met: int) -> str:
        """Return how an object with n members goes on when all that are listed were written."""
        cap, top, all_met = self._cap(members), members.most, (1 << len(members.some)) - 1
        if not extras:
            return self.closes if n >= members.least and met == all_met else self.rules.shared(())
        limits = (tuple(extras), members.least, top, all_met)
        waiting: list[tuple[int, int]] = []

        def rule(n: int, met: int) -> str:
            if (limits, n, met) not in self._of_ends:
                self._of_ends[limits, n, met] = self.rules.new()
                waiting.append((n, met))
            return self._of_ends[limits, n, met]

        start = rule(n, met)
        while waiting:
            n, met = waiting.pop()
            spend(10 + 10 * len(extras))
            comma = (self.comma,) if n else ()
            parts: list[Alternative] = [
                (*comma, *pair, rule(min(n + 1, cap), met | more)) for pair, more in extras if top is None or n < top
            ]
            parts += [(self.closes,)] if n >= members.least and met == all_met else []
            self.rules.of[rule(n, met)] = parts
        return start

    def _in_any_order(
        self, at: Place, members: Members, known: list[str], listed: list[list[Way]], extras: list[Way]
    ) -> list[Alternative]:
        if len(known) > ANY_ORDER_MAX:
            raise refused(at.path, f"any_order: it is for at most {ANY_ORDER_MAX} properties, not {len(known)}")
        cap, top = self._cap(members), members.most
        needed = sum(1 << i for i, name in enumerate(known) if name in members.needs)
        all_met = (1 << len(members.some)) - 1
        states: dict[tuple[int, int, int], str] = {(0, 0, 0): self.rules.new()}
        waiting = [(0, 0, 0)]
        while waiting:
            used, n, met = waiting.pop()
            spend(10 * (len(known) + len(extras)))
            comma = (self.comma,) if n else ()
            steps = [(way, used | 1 << i) for i, ways in enumerate(listed) if not used >> i & 1 for way in ways]
            steps += [(way, used) for way in extras]
            is_end = n >= members.least and used & needed == needed and met == all_met
            parts: list[Alternative] = [(self.closes,)] if is_end else []
            for (pair, more), after in steps:
                state = (after, min(n + 1, cap), met | more)
                if top is not None and n >= top:
                    continue
                if state not in states:
                    states[state] = self.rules.new()
                    waiting.append(state)
                parts.append((*comma, *pair, states[state]))
            self.rules.of[states[used, n, met]] = parts
        return [(self.opens, states[0, 0, 0])]
