"""Sets of numbers, as automata over the texts that JSON writes them as: bounds, multiples, values.

Texts with an exponent are only in sets without bounds and multiples.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from .automaton import Automaton, Builder, TooLargeError, branched
from .document import as_decimal
from .pattern import pattern
from .work import remembered

UNSIGNED = r"(?:0|[1-9]\d*)"
MODULUS_MAX = 1000
DIGITS_MAX = 40   # of a bound
FLOAT_MAX = 10**308


def _of(*regexes: str) -> Automaton:
    return pattern("^(?:" + "|".join(regexes) + ")$")


@remembered
def any_number() -> Automaton:
    """Return all numbers."""
    return _of(rf"-?{UNSIGNED}(?:\.\d+)?(?:[eE][+-]?\d+)?")


@remembered
def plain() -> Automaton:
    """Return all numbers, written without an exponent: of these, opposites are taken.

    Each set has all plain texts of a number or none, but not all texts with an exponent.
    """
    return _of(rf"-?{UNSIGNED}(?:\.\d+)?")


@remembered
def spelled_once() -> Automaton:
    """Return all numbers, each as one text: without an exponent, and without zeros that change nothing."""
    return _of("0", r"-?[1-9]\d*", rf"-?{UNSIGNED}\.\d*[1-9]")


@remembered
def integers(*, with_fraction: bool) -> Automaton:
    """Return the integers. with_fraction: 1.0 is one, as it is since draft 6."""
    whole = rf"-?{UNSIGNED}"
    return _of(whole, rf"{whole}\.0+", rf"{whole}[eE]\+?\d+") if with_fraction else _of(whole)


def _digits(value: int | Decimal) -> tuple[str, str]:
    """Return the digits before and after the point, without zeros at their ends."""
    n, places = as_decimal(value)
    if places >= 0:
        return str(abs(n) * 10**places), ""
    digits = str(abs(n)).rjust(1 - places, "0")
    return digits[:places].lstrip("0") or "0", digits[places:].rstrip("0")


def _between(low: int, high: int) -> str:
    return f"[{low}-{high}]"


def _beyond(whole: str, fraction: str, *, is_above: bool, is_strict: bool) -> list[str]:
    """Return expressions of unsigned numbers on one side of a bound."""
    n, out, some = len(whole), [], r"(?:\.\d+)?"
    if is_above:
        out.append(rf"[1-9]\d{{{n},}}{some}")
    elif n > 1:
        out.append(rf"(?:0|[1-9]\d{{0,{n - 2}}}){some}")
    for i, char in enumerate(whole):
        least = 1 if i == 0 and n > 1 else 0
        low, high = (int(char) + 1, 9) if is_above else (least, int(char) - 1)
        if low <= high:
            out.append(rf"{whole[:i]}{_between(low, high)}\d{{{n - i - 1}}}{some}")
    for i, char in enumerate(fraction):
        low, high = (int(char) + 1, 9) if is_above else (0, int(char) - 1)
        if low <= high:
            out.append(rf"{whole}\.{fraction[:i]}{_between(low, high)}\d*")
        if not is_above:   # fewer digits are less, since the last one is not 0
            out.append(rf"{whole}\.{fraction[:i]}" if i else whole)
    if is_above:   # digits behind those of the bound make a number larger
        zeros = r"0*" if is_strict else ""
        tail = rf"{zeros}[1-9]\d*" if is_strict else r"\d*"
        out.append(rf"{whole}\.{fraction}{tail}" if fraction else rf"{whole}\.{tail}" if is_strict else whole + some)
    elif not is_strict:
        out.append(rf"{whole}\.{fraction}0*" if fraction else rf"{whole}(?:\.0+)?")
    return out


@remembered
def bound(value: int | Decimal, *, is_least: bool, is_strict: bool) -> Automaton:
    """Return the numbers from a bound on: above it if it is the least, else below it."""
    whole, fraction = _digits(value)
    if len(whole) + len(fraction) > DIGITS_MAX:
        raise TooLargeError
    everything = rf"{UNSIGNED}(?:\.\d+)?"
    same_sign = value >= 0 if is_least else value <= 0   # the bound's own side of zero is the far one
    if value == 0 and is_strict:
        far = _beyond("0", "", is_above=True, is_strict=True)
        return _of(*far) if is_least else _of(*(f"-{one}" for one in far))
    if same_sign and value != 0:
        far = _beyond(whole, fraction, is_above=True, is_strict=is_strict)
        return _of(*far) if is_least else _of(*(f"-{one}" for one in far))
    near = _beyond(whole, fraction, is_above=False, is_strict=is_strict)
    return _of(everything, *(f"-{one}" for one in near)) if is_least else _of(f"-{everything}", *near)


def values(numbers: Iterable[int | Decimal]) -> Automaton:
    """Return these numbers, written in any way without an exponent, or as json.dumps writes the float."""
    texts = set[str]()
    short = set[str]()
    for number in numbers:
        whole, fraction = _digits(number)
        text = f"{whole}.{fraction}" if fraction else whole
        written = repr(float(number)) if -FLOAT_MAX < number < FLOAT_MAX else ""
        short |= {written} if "e" in written and Decimal(written) == number else set()
        texts |= {text, "-" + text} if not number else {"-" + text if number < 0 else text}
    listed = sorted(texts) + sorted(short)
    builder = Builder()
    first, ends = branched(builder, listed)
    last, point, zeros = builder.state(), builder.state(), builder.state()
    builder.reads[point].append((ord("0"), ord("0"), zeros))
    builder.reads[zeros].append((ord("0"), ord("0"), zeros))
    builder.skips[zeros].append(last)
    for text, end in zip(listed, ends, strict=True):
        builder.skips[end].append(last)
        if text in short:
            continue
        if "." in text:
            builder.skips[end].append(zeros)
        else:
            builder.reads[end].append((ord("."), ord("."), point))
    return builder.finish(first, last)


@remembered
def multiples(step: int | Decimal) -> Automaton:
    """Return the multiples of a positive number."""
    n, exponent = as_decimal(step)
    while exponent < 0 and not n % 10:
        n, exponent = n // 10, exponent + 1
    places = max(0, -exponent)   # decimal places
    if n > MODULUS_MAX or exponent > 3 or places > 30 or n * 10 ** max(0, exponent) > MODULUS_MAX:
        raise TooLargeError
    modulus = n * 10 ** max(0, exponent)
    builder = Builder()
    first, start, finish = builder.state(), builder.state(), builder.state()
    builder.skips[first].append(start)
    builder.reads[first].append((ord("-"), ord("-"), start))
    table: dict[tuple[int, int], int] = {}   # (decimal places read, remainder) -> state; places + 1: zeros follow

    def place(read: int, rest: int) -> int:
        if (read, rest) not in table:
            state = table[read, rest] = builder.state()
            if rest * 10 ** max(0, places - read) % modulus == 0:
                builder.skips[state].append(finish)
        return table[read, rest]

    for digit in range(1, 10):
        builder.reads[start].append((ord("0") + digit, ord("0") + digit, place(0, digit % modulus)))
    zero, point = builder.state(), {}
    builder.reads[start].append((ord("0"), ord("0"), zero))
    builder.skips[zero].append(finish)
    for rest in range(modulus):
        point[rest] = builder.state()
        builder.reads[place(0, rest)].append((ord("."), ord("."), point[rest]))
        for digit in range(10):
            char, after = ord("0") + digit, (rest * 10 + digit) % modulus
            builder.reads[place(0, rest)].append((char, char, place(0, after)))
            for read in range(places):
                from_ = point[rest] if read == 0 else place(read, rest)
                builder.reads[from_].append((char, char, place(read + 1, after)))
        from_ = point[rest] if places == 0 else place(places, rest)
        zeros = place(places + 1, rest)
        builder.reads[from_].append((ord("0"), ord("0"), zeros))
        builder.reads[zeros].append((ord("0"), ord("0"), zeros))
    builder.reads[zero].append((ord("."), ord("."), point[0]))
    return builder.finish(first, finish)
