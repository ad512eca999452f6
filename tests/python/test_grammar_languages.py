"""Eight languages that people write grammars for: each grammar matches the texts of its language, and no others."""

from __future__ import annotations

import gemel
import pytest

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


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_grammar_matches_the_texts_of_its_language_alone(bare: gemel.Model, name: str) -> None:
    text, good, bad = LANGUAGES[name]
    with bare.grammar(text) as grammar:
        assert [one for one in good if not grammar.matches(one)] == []
        assert [one for one in bad if grammar.matches(one)] == []
        assert [one for one in good if not all(grammar.begins(one[:end]) for end in range(len(one)))] == []


@pytest.mark.parametrize("name", LANGUAGES)
def test_an_answer_is_the_beginning_of_a_text_of_the_language(bare: gemel.Model, name: str) -> None:
    with bare.grammar(LANGUAGES[name][0]) as grammar:
        answer = bare.generate("the", grammar=grammar, max_tokens=40, temperature=1, seed=3)
        text = answer.read()
        assert grammar.begins(text)
        assert answer.stop_reason == "length" or grammar.matches(text)
