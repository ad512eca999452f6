"""Formats of strings that are enforced, as patterns."""

from __future__ import annotations

import json

from .automaton import Automaton
from .format_tables import TABLES
from .pattern import pattern
from .work import remembered, spend

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# A name has at most 253 characters. Counting these and a label's would take 28,000 states: 3 labels always fit, and so
# do 8 if all except the first have at most 26 characters.
_SHORT = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,24}[A-Za-z0-9])?"
_YEAR = r"\d{4}"
_LEAP = r"(?:(?:\d\d(?:0[48]|[2468][048]|[13579][26]))|(?:(?:[02468][048]|[13579][26])00))"
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    rf"|02-(?:0[1-9]|1\d|2[0-8]))|{_LEAP}-02-29)"
)
_OFFSET = r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_TIME = (   # a leap second ends the day of UTC
    rf"(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?{_OFFSET}|23:59:60(?:\.\d+)?(?:[Zz]|[+-]00:00))"
)
_H = r"[0-9A-Fa-f]{1,4}"
_V4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_IPV6 = "|".join(
    [
        rf"(?:{_H}:){{7}}{_H}", rf"(?:{_H}:){{6}}{_V4}", "::",
        *(rf"(?:{_H}:){{{n}}}(?::{_H}){{1,{7 - n}}}" for n in range(1, 7)), rf"(?:{_H}:){{7}}:", rf"(?:{_H}:){{1,7}}:",
        rf":(?::{_H}){{1,7}}", rf"::(?:{_H}:){{0,5}}{_V4}",
        *(rf"(?:{_H}:){{{n}}}(?::{_H}){{0,{5 - n}}}:{_V4}" for n in range(1, 6)),
    ]
)   # fmt: skip
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PCHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_AUTHORITY = (
    r"(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?"
    rf"(?:\[(?:{_IPV6})\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{{2}})*)(?::\d*)?"
)
_URI = (
    rf"[A-Za-z][A-Za-z0-9+.-]*:(?://{_AUTHORITY}(?:/{_PCHAR}*)*|/(?:{_PCHAR}+(?:/{_PCHAR}*)*)?"
    rf"|{_PCHAR}+(?:/{_PCHAR}*)*)?(?:\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?"
)
PATTERNS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": rf"{_DATE}[Tt]{_TIME}",
    "email": rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*",
    "uri": _URI,
    "uuid": r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
    "ipv4": _V4,
    "ipv6": _IPV6,
    "hostname": rf"{_LABEL}(?:(?:\.{_LABEL}){{0,2}}|(?:\.{_SHORT}){{0,7}})",
}


def format_of(name: str) -> Automaton | None:
    """Return the strings of a format, or None if it is not one of PATTERNS."""
    return _made(name) if name in PATTERNS else None


@remembered
def _made(name: str) -> Automaton:
    return _read(TABLES[name]) if name in TABLES else pattern(f"^(?:{PATTERNS[name]})$")


def _read(table: str) -> Automaton:
    """Return the automaton that a table describes."""
    classes, states = json.loads(table)
    pairs = [list(zip(one[::2], one[1::2], strict=True)) for one in classes]
    spend(4 * len(states))
    edges = [
        tuple(
            sorted(
                (low, high, state + by)
                for one, by in zip(row[1::2], row[2::2], strict=True) for low, high in pairs[one]
            )
        )
        for state, row in enumerate(states)
    ]   # fmt: skip
    return Automaton(tuple(edges), tuple([row[0] == 1 for row in states]))
