"""Texts that tell tokenizers apart, for Hypothesis: words, marks, digits and white space of many scripts."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from random import Random

from hypothesis import strategies as st

WORDS = [
    "Hello", "world", "the", "fooBar", "HTTPServer", "don't", "I'm", "we'LL", "it'S", "'s", "'T", "'ſ", "'re", "'",
    "''", "naïve", "ǅungla", "ʰa", "Straße", "e\u0301", "\u0301", "नमस्ते", "สวัสดี", "中文", "日本語です", "한국어",
    "שלום", "مرحبا", "😀", "👩🏽‍🚀", "👨‍👩‍👧", "🇩🇪", "❤️", "0", "7", "42", "1234567", "3.14", "٣", "七", "½", "²", "Ⅷ",
    "x2", ".", "...", "!?", "$", "^", "`", "~", "|", "_", "—", "€", "/", "//", "://", "(", ")", "<", "<|", "<|im_end|>",
    "<|endoftext|>", "</s>", "<s>", "\0", "\x04", "\x1c", "\x7f", "\u200b", "\ufeff", "\ufffd", "\U000e0041", "▁",
    "。", "、", "！", "،", "।", "۔", "(a", "b)", "a|b", "ㄅㄆ", "〇", "々", "カナ", "ꙮ", "ᾳ", "Ⴀ", "ⲁ", "-x", "x/",
    "/\n", "#if", "12abc", "123_", "12²", "٣٣٣٣٣", "१२३४", "שָׁלוֹם",
    "ﾊﾟ", "ﬁ", "Å", "①", "㍿", "ﷺ", "ＡＢ", "IMGIMGABCZ", "<sentinel:12>",
]  # fmt: skip
BLANKS = [" ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\x0b", "\x85", "\u00a0", "\u2028", "\u3000"]


# Not Cn: what this Python's Unicode has not assigned, another's may have. Not Cs: half a pair is no text.
ANY = st.characters(exclude_categories=["Cs", "Cn"])
TEXTS = st.one_of(
    st.text(ANY, max_size=40),
    st.text(st.characters(max_codepoint=127), max_size=80),
    st.text(st.sampled_from(" \t\n\r\u00a0\u3000a1."), max_size=40),
    st.text(st.sampled_from("0123456789٣²  ,.x"), max_size=40),
    st.lists(st.sampled_from(WORDS + BLANKS * 2), max_size=30).map("".join),
    st.lists(st.one_of(st.sampled_from(WORDS), st.text(ANY, max_size=8)), max_size=12).map(" ".join),
)


@cache
def by_category() -> dict[str, list[str]]:
    """Return the characters of each general category; none that this Python's Unicode has not assigned."""
    found: dict[str, list[str]] = {}
    for code in range(0x110000):
        found.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    return {category: chars for category, chars in found.items() if category not in ("Cn", "Co", "Cs")}


def drawn(n: int, seed: int, extra: Sequence[str] = ()) -> Iterator[str]:
    """Draw n texts of the same kinds without Hypothesis, which takes longer; `extra` are words to put among them."""
    random, chars = Random(seed), by_category()
    words, kinds = [*WORDS, *extra, *extra], list(chars)

    def some(most: int) -> str:
        return "".join(random.choice(chars[random.choice(kinds)]) for _ in range(random.randrange(most)))

    def word() -> str:
        return random.choice(words) if random.random() < 0.6 else some(6)

    draws: list[Callable[[], str]] = [
        lambda: some(40),
        lambda: "".join(chr(random.randrange(128)) for _ in range(random.randrange(80))),
        lambda: "".join(random.choice(" \t\n\r\u00a0\u3000a1.A'") for _ in range(random.randrange(40))),
        lambda: "".join(random.choice("0123456789٣²Ⅷ  ,.x_A") for _ in range(random.randrange(40))),
        lambda: "".join(random.choice(words + BLANKS * 2) for _ in range(random.randrange(30))),
        lambda: " ".join(word() for _ in range(random.randrange(14))),
    ]
    for _ in range(n):
        yield random.choice(draws)()
