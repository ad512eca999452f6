"""Answers keep the form that a grammar gives them, alone, in a chat and in a batch; masks are those of a reference."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Iterator

import gemel
import grammars
import pytest
from conftest import CHATML, tiny_bytes
from gemel.core.library import Handle, Library
from gemel.model.grammar import Form, Rules
from gemel.model.grammar_cache import GrammarCache
from grammars import Node, Place
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from walking import Walker, Words

PLACES = 5   # of an answer, at which masks are compared

JSON = r"""
root   ::= value
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" (string ":" value ("," string ":" value)*)? "}"
array  ::= "[" (value ("," value)*)? "]"
string ::= "\"" ([^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
"""

# ---- Masks against the reference -------------------------------------------------------------------------------------

TEXTS = ("the", "re", "a", "ther", "e", "é", "€", "th ", "  ", "\n", "😀", "")
RANGES = (
    (97, 122), (101, 101), (0xE0, 0xFF), (0x20, 0x7F), (0x2000, 0x2FFF), (0, 0x10FFFF), (0x1F600, 0x1F64F), (48, 57),
    (0xD000, 0xE100),
)  # fmt: skip
IDS = (0, 1, 2, 5, 70, 100)   # control tokens of the tiny vocabulary, of which 0 and 2 end a generation, and texts

text_nodes = st.sampled_from(TEXTS).map(lambda text: ("text", text))
chars_nodes = st.tuples(
    st.just("chars"), st.lists(st.sampled_from(RANGES), min_size=1, max_size=2).map(tuple), st.booleans()
).filter(lambda node: not (node[2] and (0, 0x10FFFF) in node[1]))
id_nodes = st.tuples(st.just("id"), st.sampled_from(IDS), st.integers(0, 4).map(lambda n: n == 0))


def rules_of(n: int) -> st.SearchStrategy[list[Node]]:
    leaves = st.one_of(text_nodes, chars_nodes, id_nodes, st.tuples(st.just("rule"), st.integers(0, n - 1)))

    def larger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        several = st.lists(inner, min_size=1, max_size=3)
        counts = st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(0, 2))).map(
            lambda n: (n[0], None if n[1] is None else n[0] + n[1])
        )
        return st.one_of(
            several.map(lambda nodes: ("seq", *nodes)),
            several.map(lambda nodes: ("any", *nodes)),
            st.tuples(inner, counts).map(lambda one: ("rep", one[0], *one[1])),
        )

    return st.lists(st.recursive(leaves, larger, max_leaves=6), min_size=n, max_size=n)


@pytest.fixture(scope="module")
def words() -> Iterator[Words]:
    with gemel.open(tiny_bytes(), threads=1) as model:
        yield Words(model)


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@pytest.mark.long
def test_a_mask_is_that_of_the_reference(words: Words, data: st.DataObject) -> None:
    rules = data.draw(rules_of(data.draw(st.integers(1, 3))))
    text = grammars.gbnf(rules)
    if grammars.is_refused(rules):
        with pytest.raises(gemel.GrammarError, match=r"never ends|calls itself"):
            words.model.grammar(text)
        return
    with words.model.grammar(text) as grammar:
        walker, place = Walker(words.model, grammar), Place(rules)
        with walker.sampler:
            for _ in range(PLACES):
                wanted = words.allowed(place)
                assert walker.allowed() == wanted, text
                assert (walker.ends() > 0) == place.may_end
                ending = words.is_end if place.may_end else [False] * len(wanted)   # here they end the answer
                nexts = [id for id in words.ids if wanted[id] and not ending[id] and words.after(place, id)]
                if not nexts:
                    break
                id = data.draw(st.sampled_from(nexts))
                walker.accept(id)
                places = words.after(place, id)
                if len(places) > 1 and places[0].tail:   # a place has one tail
                    break
                place = Place(rules, set().union(*(one.stacks for one in places)), places[0].tail)


# ---- Generations -----------------------------------------------------------------------------------------------------


def test_an_answer_of_a_grammar_is_of_that_form(model: gemel.Model) -> None:
    form, stopped = r"[0-9]{3}-[a-f]+!", 0
    for seed in range(5):
        generation = model.generate("the", regex=form, max_tokens=40, seed=seed, temperature=1.5)
        text = generation.read()
        assert generation.stop_reason in ("stop", "length")
        stopped += generation.stop_reason == "stop"
        assert re.fullmatch(form if generation.stop_reason == "stop" else r"[0-9]{3}-[a-f]*", text)
    assert stopped > 0


def test_an_answer_ends_where_nothing_can_follow(model: gemel.Model) -> None:
    generation = model.generate("the", choices=["yes"], max_tokens=50, temperature=0)
    assert generation.read() == "yes"
    assert generation.stop_reason == "stop"
    assert model.detokenize(generation.ids) == "yes"


def test_an_answer_that_max_tokens_cuts_ends_with_length(model: gemel.Model) -> None:
    with model.grammar('root ::= "a"{40}') as grammar:
        generation = model.generate("the", grammar=grammar, max_tokens=5, temperature=0)
        assert grammar.begins(generation.read())
    assert generation.stop_reason == "length"
    assert len(generation.ids) == 5


def test_an_answer_may_end_by_an_id_where_the_grammar_may_end(model: gemel.Model) -> None:
    end = model.eos_id
    assert end is not None
    generation = model.generate("the", grammar='root ::= "ab" "c"*', logit_bias={end: 100}, temperature=0)
    assert generation.read() == "ab"
    assert generation.stop_reason == "eos"


def test_json_that_ends_is_json(model: gemel.Model) -> None:
    with model.grammar(JSON) as grammar:
        generations = [
            model.generate("the", grammar=grammar, max_tokens=120, seed=seed, temperature=1) for seed in range(12)
        ]
        texts = [generation.read() for generation in generations]
        ended = [text for text, one in zip(texts, generations, strict=True) if one.stop_reason != "length"]
        assert all(map(grammar.begins, texts))
    assert len(ended) > 2
    for text in ended:
        json.loads(text)


@pytest.mark.parametrize("tokenizer", ["bpe", "spm"])
def test_every_call_that_generates_takes_a_grammar(tiny_model: Callable[..., gemel.Model], tokenizer: str) -> None:
    model = tiny_model(tokenizer=tokenizer, chat_template=CHATML)
    chosen = ["the one", "another"]
    assert model.ask("Who?", choices=chosen, temperature=0) in chosen
    assert set(model.generate_many(["the", "a"], choices=chosen, temperature=0)) <= set(chosen)
    with model.chat() as chat, model.batch() as batch, model.session() as session:
        assert chat.send("Who?", regex="the( one)?", temperature=0).read() in ("the", "the one")
        alone = model.generate("the", choices=chosen, seed=3).read()
        many = [batch.generate("the", choices=chosen, seed=3), batch.generate("th", seed=1, max_tokens=5)]
        answer = batch.answer([{"role": "user", "content": "Who?"}], choices=chosen, temperature=0)
        assert many[0].read() == alone
        assert answer.read() in chosen
        assert session.generate("the", grammar='root ::= "x" | "y"', temperature=0).read() in ("x", "y")


def test_a_grammar_is_freed_when_its_last_generation_has_ended(model: gemel.Model) -> None:
    grammar = model.grammar(choices=["yes", "no"])
    generation = model.generate("the", grammar=grammar, temperature=0)
    grammar.close()
    assert generation.read() in ("yes", "no")
    with pytest.raises(gemel.ArgumentError, match="this grammar is closed"):
        grammar.matches("yes")
    with pytest.raises(gemel.ArgumentError, match="this grammar is closed"):
        model.generate("the", grammar=grammar)


@pytest.mark.parametrize("depth", [0, 1, 500, 1500, 2000, 30_000])
def test_a_text_may_be_deep_whatever_its_length(bare: gemel.Model, depth: int) -> None:
    """A short text is read in little memory, and again in all of it if that is not enough."""
    text = "(" * depth + "x" + ")" * depth
    with bare.grammar('root ::= "(" root ")" | "x"') as grammar:
        assert grammar.matches(text)
        assert grammar.begins(text[:-1])
        assert not grammar.matches(text[:-1])
        assert not grammar.begins(text + ")")


def test_a_grammar_of_another_model_is_refused(tiny_model: Callable[..., gemel.Model]) -> None:
    one, other = tiny_model(), tiny_model(seed=2)
    with other.grammar(regex="a") as grammar, pytest.raises(gemel.ArgumentError, match="another model's"):
        one.generate("the", grammar=grammar)


def test_mistakes_are_named(model: gemel.Model) -> None:
    with pytest.raises(gemel.GrammarError, match="grammar: line 2, column 7: there is no rule"):
        model.generate("the", grammar="root ::= a\na ::= bc\n")
    with pytest.raises(gemel.GrammarError, match="regex: line 1, column 2: look-around is not supported"):
        model.generate("the", regex="a(?=b)")
    with pytest.raises(gemel.ArgumentError, match="grammar and regex both say what the answer may be"):
        model.generate("the", grammar='root ::= "a"', regex="a")
    with pytest.raises(gemel.ArgumentTypeError, match="choices"):
        model.generate("the", choices="yes")
    with pytest.raises(gemel.ArgumentError, match="at least one text"):
        model.generate("the", choices=[])
    with pytest.raises(gemel.ArgumentTypeError, match="pass what an answer may be"):
        model.grammar()


def test_a_sampler_of_a_step_takes_a_grammar(model: gemel.Model) -> None:
    prompt = model.tokenize("the")
    with model.grammar(choices=["yes"]) as grammar, model.session() as session:
        sampler = model.sampler(temperature=0, repeat_penalty=1.1, grammar=grammar)
        with sampler:
            sampler.accept(prompt)
            todo, text = prompt, b""
            while not sampler.is_whole:
                (drawn,) = model.step([session], [todo], [sampler])
                assert drawn.id is not None
                todo, text = [drawn.id], text + drawn.text
    assert text == b"yes"


def test_a_grammar_stays_as_long_as_a_call_uses_the_closed_sampler(model: gemel.Model) -> None:
    grammar = model.grammar(choices=["yes"])
    sampler = model.sampler(temperature=0, grammar=grammar)
    handle = grammar._rules.handle
    with sampler.handle:   # as a step of another thread
        sampler.close()
        grammar.close()
        assert handle.closed
        assert handle.address
    assert not handle.address


def test_an_error_in_accept_leaves_the_grammar(model: gemel.Model) -> None:
    prompt = model.tokenize("the")
    with (
        model.grammar(choices=["yes"]) as grammar, model.session() as session,
        model.sampler(temperature=0, repeat_penalty=1.1, grammar=grammar) as sampler,
    ):  # fmt: skip
        with pytest.raises(gemel.ArgumentError, match=f"id {model.n_vocab}"):
            sampler.accept([*prompt, model.n_vocab])
        (drawn,) = model.step([session], [prompt], [sampler])
        assert drawn.text
        assert b"yes".startswith(drawn.text)


# ---- Schemas that can't be enforced as a whole ----------------------------------------------------------------------



@pytest.mark.parametrize("value", [["a"], ["a", "a"]])
def test_strict_false_allows_a_schema_and_checks_the_answer(model: gemel.Model, value: list[str]) -> None:
    schema = {"allOf": [{"const": value}, {"not": {"uniqueItems": True}}]}
    with pytest.raises(gemel.SchemaError, match="#/allOf/1/not: "):
        model.grammar(json_schema=schema)
    with model.grammar(json_schema=schema, strict=False) as grammar:
        assert grammar.unenforced == ("#/allOf/1/not",)
        generation = model.generate("the", grammar=grammar)
    assert json.loads(generation.read()) == value
    if value == ["a"]:
        with pytest.raises(gemel.AnswerError, match="the answer is not valid: #: .*#/allOf/1/not"):
            _ = generation.parsed
    else:
        assert generation.parsed == value


def test_calls_that_return_only_a_text_raise_what_the_check_finds(tiny_model: Callable[..., gemel.Model]) -> None:
    model, schema = tiny_model(chat_template=CHATML), {"enum": [["a"]], "not": {"uniqueItems": True}}
    with pytest.raises(gemel.AnswerError, match="the answer is not valid"):
        model.ask("Which?", json_schema=schema, strict=False)
    with pytest.raises(gemel.AnswerError, match="the answer is not valid"):
        model.generate_many(["the"], json_schema=schema, strict=False)
    assert model.ask("Which?", json_schema=schema, strict=False, max_tokens=1) != '["a"]'


def test_strict_and_any_order_are_for_schemas_alone(model: gemel.Model) -> None:
    with pytest.raises(gemel.ArgumentError, match="strict: it is for json_schema alone"):
        model.generate("the", regex="a", strict=False)
    with pytest.raises(gemel.ArgumentError, match="any_order: it is for json_schema alone"):
        model.grammar(regex="a", any_order=True)
    with pytest.raises(gemel.ArgumentTypeError, match="strict"):
        model.generate("the", json_schema=True, strict="no")   # type: ignore[arg-type]


# ---- Forms that were compiled before ---------------------------------------------------------------------------------


def test_a_form_is_compiled_once(tiny_model: Callable[..., gemel.Model], monkeypatch: pytest.MonkeyPatch) -> None:
    model, compiled, made = tiny_model(chat_template=CHATML), list[Form](), Form.compiled

    def counted(form: Form, library: Library, handle: Handle) -> Rules:
        compiled.append(form)
        return made(form, library, handle)

    monkeypatch.setattr(Form, "compiled", counted)
    schema = {"enum": ["a", "b"]}
    for _ in range(2):
        model.generate("the", json_schema=schema, max_tokens=3).close()
        model.ask("Who?", choices=["a", "b"])
        model.generate_many(["the", "a"], json_schema=json.dumps(schema), max_tokens=3)
    assert [form.kind for form in compiled] == ["json_schema", "choices"]


def test_forms_that_were_used_longest_ago_leave(tiny_model: Callable[..., gemel.Model]) -> None:
    model = tiny_model()
    cache = GrammarCache(model._library, model._handle, count=3, size=10**6)
    forms = [Form("choices", (name,)) for name in "abcd"]
    for form in (*forms[:3], forms[0], forms[3]):
        with cache.use(form):
            pass
    assert [form.source for form in cache._held] == [("c",), ("a",), ("d",)]
    with cache.use(Form("grammar", 'root ::= "a"{100000}')):   # larger than all of it
        assert [form.kind for form in cache._held] == ["grammar"]
    with cache.use(forms[0]) as rules:
        assert rules is not None
        cache.close()
        assert rules.handle.closed
        assert rules.handle.address
        with cache.use(forms[1]):   # it holds nothing any more
            assert len(cache) == 0
    assert not rules.handle.address


def test_a_closed_model_is_freed_with_its_forms() -> None:
    one, other = (gemel.open(tiny_bytes(), threads=1) for _ in range(2))
    for model in (one, other):
        model.generate("the", choices=["yes"]).read()
    one.close()
    handles = one._handle, other._handle
    del model, other   # closed by nobody
    gc.collect()
    assert [handle.address for handle in handles] == [0, 0]


# ---- Hostile grammars ------------------------------------------------------------------------------------------------


REFUSED = {   # what is said, and of which grammar
    "column 13: {5,1}: the least number is over the most": 'root ::= "a"{5,1}',
    "column 50009: this parenthesis is not closed": "root ::= " + "(" * 50_000,
    "the grammar is too large: it has over": "root ::= " + " | ".join(f'"x{i}"' for i in range(1_000_000)),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_hostile_grammar_is_refused(model: gemel.Model, words: str) -> None:
    with pytest.raises(gemel.GrammarError, match=re.escape(words)):
        model.grammar(REFUSED[words])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("root ::= " + "(" * 50_000 + '"a"' + ")" * 50_000, "a"),
        ('root ::= (("a" | "a" "a")* ){50} "b"', "ab"),
        ('root ::= "a" root root | "a"', "a"),
        ("\n".join(f'a{i} ::= a{i + 1} | "x"' for i in range(20_000)) + '\na20000 ::= "y"\nroot ::= a0', "y"),
    ],
    ids=["parentheses", "ways to repeat", "a rule that grows", "a chain of rules"],
)
def test_a_grammar_that_looks_hostile_is_answered(model: gemel.Model, text: str, answer: str) -> None:
    assert model.generate("the", grammar=text, max_tokens=3, temperature=0).read() == answer


def test_a_thousand_optional_texts_are_followed(model: gemel.Model) -> None:
    text = model.generate("the", grammar='root ::= ("a"? ){1000} "b"', max_tokens=3, temperature=0).read()
    assert text == "ab"


def test_a_grammar_that_is_read_in_too_many_ways_is_refused_when_it_is_compiled(model: gemel.Model) -> None:
    text = "root ::= " + " ".join(["a"] * 20_000) + '\na ::= "x"?'
    with pytest.raises(gemel.GrammarError, match="reads a text in too many ways at once: let fewer repetitions"):
        model.grammar(text)
