"""Eight languages that people write grammars for: each grammar matches the texts of its language, and no others."""

from __future__ import annotations

import gemel
import pytest
from languages import FEATURES, LANGUAGES, REFUSED, found_in, read_golden, texts_of


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


@pytest.mark.parametrize("name", [*LANGUAGES, *FEATURES])
def test_a_grammar_matches_what_llama_cpp_matches(bare: gemel.Model, name: str) -> None:
    golden = read_golden()["matched"][name]
    texts = texts_of(name, golden["drawn"])
    with bare.grammar(FEATURES.get(name) or LANGUAGES[name][0]) as grammar:
        assert [one for one, is_match in zip(texts, found_in(golden["bits"]), strict=True)
                if grammar.matches(one) != is_match] == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_llama_cpp_refuses_is_refused(bare: gemel.Model, name: str) -> None:
    assert name in read_golden()["refused"]
    with pytest.raises(gemel.GrammarError):
        bare.grammar(REFUSED[name])
