"""The words that gemel's pages don't use, why not, and what they say instead.

Each row of RETIRED is a pattern of whole words; an example of each is in the row, so that no pattern can stop matching
unnoticed. They are looked for in the prose of pages, and in the comments and strings of code.
"""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path
from typing import NamedTuple

import building
import pytest

FOLDERS = ("docs", "core_c", "pyodide_pkg", "native", "web", "tests")   # and pages at the top
KINDS = {".md", ".py", ".c", ".h", ".def", ".js", ".mjs", ".ts", ".css"}
# Words that are no prose: names of the API, and texts that tests give to models.
KNOWN = {
    "web/gemel_web/static/page/examples.js": {"likeliest"}, "tests/browser/test_bits.py": {"Dear"},
    "tests/web/test_static_site.py": {"Dear"},
}

ROOT = building.ROOT


class Retired(NamedTuple):
    """A pattern of words, what to write in their place, why, and a text in which the pattern is found."""

    pattern: str
    instead: str
    because: str
    example: str


# The things of which there is one per other thing: "one example a use", "tokens a second".
EACH = (
    "byte|call|channel|commit|configuration|core|file|head|hour|instruction set|ISA|layer|line|megabyte|message|minute|"
    "model|operation|page|position|process|request|row|second|session|step|target|tensor|test|thread|token|track|use|user|visit"
)

RETIRED = (
    # Old or bookish words
    Retired(r"anew", "again, from scratch", "archaic", "the download begins anew"),
    Retired(r"but for|nothing but|no(?:body|ne| one) but", "except, only", "archaic", "all of them but for the last"),
    Retired(r"dear(?:er|est|ly)?", "expensive, slow", "reads as a salutation", "a second pass is dear"),
    Retired(r"whoever", "anyone who, the one that", "heavy", "whoever opens it, closes it"),
    Retired(r"seldom", "rarely", "bookish", "files seldom store them so"),
    Retired(r"(?:for|too) ever", "forever", "archaic spelling", "it waits for ever"),
    Retired(r"mended|mends?", "fixed, repaired", "is said of clothes", "the file, mended as below"),
    Retired(r"at the mercy of", "depends on", "a metaphor", "decoding is at the mercy of the memory"),
    Retired(r"so many (?:\w+ )?at a time", "at a time, up to N", "leaves the number open", "so many tokens at a time"),
    # Calques
    Retired(r"can(?:'|no)t be meant", "invalid; contradictory", "says nothing about the value", "that can't be meant"),
    Retired(r"(?:is|are|was|were|be|been) told", "is reported, gemel says", "by whom?", "it is told on stderr"),
    Retired(r"(?<!there )(?:is|are) (?-i:none)", "is not a, must be one of", "inverted", "a file that is none"),
    Retired(r"of (?:its|their|his|her|your) own", "its, separate", "heavier than it says", "a buffer of its own"),
    Retired(r"somebody else", "other code, another thread", "says not who", "is changed by somebody else"),
    Retired(r"st(?:ands?|ood)(?! (?:in for|for|out|still|alone)\b)", "is, has, lies in", "nothing stands in a file",
            "the size stands in the header"),
    Retired(r"too much waits|too many waits", "too many requests are waiting", "has no subject", "429 too much waits"),
    Retired(r"(?:past|over|than) what \w+ bears?", "too large for", "numbers don't weigh", "past what attention bears"),
    Retired(rf"(?:one|bytes|column|events?|examples?|facts?|lines?|[kMG]B|ms|one pass|process|rows?|seconds|tensor|"
            rf"tests?|times|tokens|track) an? (?:{EACH})", "one X per Y", '"a X a Y" is read twice',
            "4,000 tokens a second"),
    # Terms that the field names otherwise
    Retired(r"(?:the )?likeliest", "the most likely", "rare as a superlative", "the likeliest id"),
    Retired(r"rows? of (?:the )?kernels?|kernel rows?|ISA rows?|rows? of the kernel table", "instruction set",
            "what CPU makers and compilers say", "there is no such row of kernels"),
    Retired(r"(?:is|are|not|yet) computed here|computed are", "supported", "an architecture is supported or not",
            "well formed, but not computed here"),
    Retired(r"desks?|wish(?:es)?|tickets?", "model slot, request, job", "private metaphors", "a ticket at the desk"),
)


def pages() -> list[Path]:
    """Return the tracked files in which the words are looked for, except this one."""
    found = [path.relative_to(ROOT) for path in building.tracked() if path.suffix in KINDS]
    here = Path(__file__).name
    return [ROOT / path for path in found if path.parts[0] in (*FOLDERS, path.name) and path.name != here]


def python_prose(text: str) -> str:
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join(token.string for token in found if token.type in kinds)


def prose(path: Path) -> str:
    """Return what a file says to people, on one line: of a page all but code, of code its comments and strings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        text = re.sub(r"^ *```.*?^ *```$", " ", text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"`[^`]*`", "`code`", text)
    elif path.suffix == ".py":
        text = python_prose(text)
    elif path.suffix in {".c", ".h", ".def", ".js", ".mjs", ".ts", ".css"}:
        text = "\n".join(re.findall(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|`[^`]*`', text, re.DOTALL))
    text = re.sub(r"\n\s*\n", ".\n", text)   # the end of a paragraph ends a phrase
    return re.sub(r"\s*\n[\s/#*]*", " ", text)


def found_in(text: str) -> dict[str, str]:
    """Return each retired phrase of a text, and what to write instead."""
    return {
        match[0]: f"write {row.instead} ({row.because})"
        for row in RETIRED
        for match in re.finditer(rf"(?<![\w-])(?:{row.pattern})(?![\w-])", text, re.IGNORECASE)
    }


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_retired_words_are_absent(path: Path) -> None:
    known = KNOWN.get(path.relative_to(ROOT).as_posix(), set())
    assert {word: why for word, why in found_in(prose(path)).items() if word not in known} == {}


@pytest.mark.parametrize("row", RETIRED, ids=lambda row: row.instead)
def test_each_retired_phrase_is_found(row: Retired) -> None:
    assert f"write {row.instead} ({row.because})" in found_in(row.example).values()


@pytest.mark.parametrize("text", [
    "There is none.", "null is None", "MXFP4 stands for microscaling.", "it stands in for bytes", "each on its own",
    "stand-alone", "desktop", "one at a time", "one token at a time", "a token a user typed",
])
def test_plain_words_are_not_retired(text: str) -> None:
    assert found_in(text) == {}


def test_code_in_pages_is_not_prose(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Call `session.likeliest(3)`:\n\n```python\nanew = 1\n```\n\nbut\nfor", encoding="utf-8")
    assert list(found_in(prose(page))) == ["but for"]


def test_comments_and_strings_of_code_are_prose(tmp_path: Path) -> None:
    program, core = tmp_path / "a.py", tmp_path / "a.c"
    program.write_text("dear = 1  # begins\n# anew\nx = 'whoever'\n", encoding="utf-8")
    core.write_text('int dear; // but\n// for one\nchar *x = "anew";\n', encoding="utf-8")
    assert sorted(found_in(prose(program))) == ["anew", "whoever"]
    assert sorted(found_in(prose(core))) == ["anew", "but for"]
