"""Grammars, and texts that are cut and changed at random: what tests compare with llama.cpp's grammars.

LANGUAGES are eight that people write grammars for, with texts of their language and texts that are not. FEATURES use
each thing that llama.cpp's GBNF has. tests/golden/make_grammars.py writes which texts llama.cpp's grammars match.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent / "golden" / "grammars.json"
FEATURE_FILE = GOLDEN.with_name("grammar_features.json")   # of FEATURES
N_CHANGED = 40   # texts that are made of one text

VALUE = r"""
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,15})? ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""

# name: the grammar, texts of its language, texts that are not
LANGUAGES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "arithmetic": (
        r"""
root ::= (sum "=" " "* term "\n")+
sum  ::= term ([-+*/] " "* term)*
term ::= ([a-z] [a-z0-9_]* | [0-9]+ | "(" sum ")") " "*
""",
        ("1+2=3\n", "(a1*(b+2))/7 = x\n", "x=y\n1 - 1=0\n"),
        ("1+=3\n", "1+2=3", "(1=1\n", "1++2=3\n", "=3\n"),
    ),
    "a subset of C": (
        r"""
root  ::= function*
function ::= type " " name "(" (type " " name ("," " " type " " name)*)? ")" ws "{" ws statement* "}" ws
type  ::= "int" | "float" | "char"
name  ::= [a-zA-Z_] [a-zA-Z_0-9]*
statement ::= ( type " " name " = " sum ";" | name " = " sum ";" | "return " sum ";"
            | name "(" (sum ("," " " sum)*)? ");"
            | "while (" test ")" ws "{" ws statement* "}" | "if (" test ")" ws "{" ws statement* "}"
              (" else {" ws statement* "}")? | "//" [^\n]* "\n" ) ws
test  ::= sum (" " ("<=" | "<" | "==" | "!=" | ">=" | ">") " " sum)
sum   ::= item (" " [-+] " " item)*
item  ::= factor (" " [*/] " " factor)*
factor ::= name | name "(" (sum ("," " " sum)*)? ")" | [0-9]+ | "-" factor | "(" sum ")"
ws    ::= [ \t\n]*
""",
        ("int main() { return 0; }", "int f(int a, char b) {\n  while (a < 10) { a = a + g(b, 1) * 2; }\n}\n", ""),
        ("int main( { return 0; }", "int f(int a) { return a }", "main() {}", "int f() { a = ; }"),
    ),
    "chess moves": (
        r"""
root  ::= "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")+
move  ::= (pawn | piece | "O-O" "-O"?) [+#]?
piece ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn  ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
""",
        ("1. e4 e5\n2. Nf3 Nc6\n", "1. d4 d5\n2. exd5 Qxd5+\n10. O-O O-O-O\n", "1. a4 a5\n2. b8=Q# Ngf3\n"),
        ("1. e4 e5\n", "1. e9 e5\n2. Nf3 Nc6\n", "2. e4 e5\n3. d4 d5\n", "1. e4 e5\n2. O-O-O-O e5\n"),
    ),
    "English": (
        r"""root ::= [A-Za-z0-9,.!?'"() \n-]+""",
        ("Well, it's (nearly) done!", "42"),
        ("", "naïve", "a_b", "été"),
    ),
    "Japanese": (
        r"""
root ::= part+ ([ \t\n] part+)*
part ::= [ぁ-ゟ] | [ァ-ヿ] | [、-〾] | [一-龯]
""",
        ("こんにちは", "日本語、カタカナ。", "猫 犬\nとり"),
        ("hello", "日本 ", "", " 猫", "한국"),
    ),
    "JSON": (
        "root ::= object" + VALUE,
        ('{"a": [1, -2.5e+3, null], "b": {"c": "\\u00e9\\n"}}', "{}", '{\n  "a":true\n}'),
        ("[]", '{"a":01}', '{"a" 1}', '{"a":"\n"}', '{"a":1,}', '{"a":\\"b"}'),
    ),
    "an array of JSON": (
        'root ::= "[\\n" (value ("," "\\n" value)*)? "]"' + VALUE,
        ("[\n1,\n2]", '[\n{"a":[]},\n"b"]', "[\n]"),
        ("[1]", "[\n1 2]", "{}", "[\n1,\n]"),
    ),
    "a list": (
        r"""root ::= ("- " [^\r\n\x0b\x0c\x85\u2028\u2029]+ "\n")+""",
        ("- a\n", "- one thing\n- é and 猫\n"),
        ("a\n", "- \n", "- a", "- a\n\n", "- a\u2028b\n"),
    ),
}

FEATURES = {
    "comments and lines": (
        "# a comment\nroot ::= (   # ends here: \"#\"\n  \"#\" one\n  two\n) |\n  # between\n  \"x\"\n\n"
        "one ::= \"a\" | # or\n  \"b\"\ntwo ::= [#]"
    ),
    "exact counts": 'root ::= "a"{3} ("b" [0-9]){2} [x-z]{0} "!"{1}',
    "counts between": 'root ::= "a"{2,5} ([b-d] "e"?){1,3} "f"{0,2}',
    "open counts": 'root ::= "ab"{2,} [0-9]{0,} "c"{1,}',
    "counts of a group": 'root ::= (("a" | "b"){2,3} ","){1,4} item{2}\nitem ::= "<" [a-z]{1,2} ">"',
    "signs of repetition": 'root ::= "a"? "b"* "c"+ ("d" "e"?)* ([f-h] | "ij")+',
    "repetition of repetition": 'root ::= (("a"* "b")+ "c"?)* ("d"{2}){2}',
    "classes": r'root ::= [a-cx] [^a-z] [0-9_-] [-+] [\]\[\\] [^\]] "."',
    "escapes": r'root ::= "\t\r\n\\\"" [\x41-\x43] "\x7e" [\u00e9\u732b] "\u00df" "\U0001F600" [\U0001F601-\U0001F603]',
    "characters": 'root ::= [ぁ-ゟ]{1,3} [^é-ü] "猫"? [À-ÖØ]* .',
    "any character": 'root ::= "<" .{1,4} ">" . "\\n"',
    "nested groups": 'root ::= ((("a" ("b" | ("c" "d"?)))+ | "e") ("," (("f" | "g") ("h" | "i"))?)*)?',
    "empty alternatives": 'root ::= "(" ( | "a" | ) ")" tail\ntail ::= | "," root',
    "right recursion": 'root ::= "a" root | "b" other | "c"\nother ::= "d" root | [0-9] other | "."',
    "recursion between": 'root ::= list\nlist ::= "[" (list ("," list)*)? "]" | "{" pair "}"\npair ::= [a-z] ":" list',
    "names": 'root ::= a-b a-b-2 Ac\na-b ::= "1"?\na-b-2 ::= "2"+\nAc ::= "3" | a-b "4"',
    "texts that share a beginning": 'root ::= ("for" | "format" | "foreach" | "fo") (" " ("in" | "into" | "int"))*',
    "ambiguous": 'root ::= ("a" | "aa" | "ab")* ("b" | "ba" | "a")*',
    "an email": 'root ::= [a-z0-9.]+ "@" ([a-z] [a-z0-9-]* ".")+ ("org" | "com" | [a-z]{2})',
    "a date": 'root ::= [0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01]) ("T" time)?\n'
    'time ::= [0-2] [0-9] (":" [0-5] [0-9]){1,2} "Z"?',
}
REFUSED = {
    "left recursion": 'root ::= root "a" | "b"',
    "left recursion of two rules": 'root ::= one\none ::= two "a"\ntwo ::= one | "b"',
    "left recursion behind what may be empty": 'root ::= "a"? root "b"',
    "no such rule": 'root ::= "a" other',
    "no root": 'other ::= "a"',
    "an open group": 'root ::= ("a" | "b"',
    "an open text": 'root ::= "a',
    "an open class": "root ::= [a-z",
    "a sign of nothing": "root ::= * ",
    "a count of nothing": 'root ::= {2} "a"',
    "an open count": 'root ::= "a"{2',
    "a rule without a name": '::= "a"',
}


def changed(name: str, text: str, alphabet: str) -> list[str]:
    """Return texts that are made of one: with parts left out, said twice, moved, and with other characters."""
    chance = random.Random(f"{name} {text}")
    found = []
    for _ in range(N_CHANGED):
        one = text
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            at = chance.randrange(len(one) + 1)
            end = min(len(one), at + chance.choice((0, 1, 1, 2, 5)))
            how = chance.randrange(5)
            if how == 0:
                one = one[:at] + one[end:]
            elif how == 1:
                one = one[:end] + one[at:]
            elif how == 2:
                one = one[:at] + chance.choice(alphabet) + one[end:]
            elif how == 3:
                one = one[:at]
            else:
                one = one[:at] + chance.choice(alphabet) + one[at:]
        found.append(one)
    return found


def texts_of(name: str, drawn: list[str]) -> list[str]:
    """Return the texts that are compared: those that were drawn, and what is made of them."""
    alphabet = "".join(sorted({char for text in drawn for char in text} | set('a1 ,"\\\n]é猫\x1f')))
    return [*drawn, *(one for text in drawn for one in changed(name, text, alphabet))]


def read_golden(path: Path = GOLDEN) -> dict[str, Any]:
    """Return what make_grammars.py wrote: for each grammar the texts that were drawn, and bits of what matches."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if path == GOLDEN:
        value["matched"] |= json.loads(FEATURE_FILE.read_text(encoding="utf-8"))["matched"]
    return value


def bits_of(found: list[bool]) -> str:
    """Return them as hexadecimal digits, the first one highest."""
    return f"{int('1' + ''.join(str(int(one)) for one in found), 2):x}"


def found_in(bits: str) -> list[bool]:
    """Return what bits_of took."""
    return [digit == "1" for digit in f"{int(bits, 16):b}"[1:]]
