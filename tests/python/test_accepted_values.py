"""Values as callers write them: numbers of numpy, limits and seeds as other programs write them, messages in parts."""

from __future__ import annotations

import doctest
from array import array
from collections.abc import Callable
from typing import Any

import gemel
import numpy as np
import pytest
from gemel.core import scalars
from gemel.text import ids, messages

OpenTiny = Callable[..., Any]   # gemel.Model, which also takes what its types do not promise
SHOWN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


@pytest.mark.parametrize("module", [scalars, messages, ids])
def test_examples_in_docstrings_hold(module: Any) -> None:  # noqa: ANN401
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_numbers_of_numpy_are_numbers(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_ctx=64)
    plain = model.generate([1, 2, 3], max_tokens=4, temperature=0.5, top_k=3, seed=7, logit_bias={5: -1.5}, n_ctx=32)
    other = model.generate(
        np.array([1, 2, 3]), max_tokens=np.int64(4), temperature=np.float32(0.5), top_k=np.int32(3), seed=np.uint64(7),
        logit_bias={np.int64(5): np.float64(-1.5)}, n_ctx=np.int16(32),
    )
    assert plain.read() == other.read()
    assert plain.ids == other.ids
    assert other.sampling == plain.sampling
    with model.session(np.int64(16)) as session:
        session.append(np.array([1, 2, 3], dtype=np.uint8))
        assert session.likeliest(np.int8(2)) == session.likeliest(2)
        session.truncate(np.int64(2))
        assert session.fork(np.int64(1)).n_past == 1


@pytest.mark.parametrize("wrong", [np.bool_(True), np.float64(3), np.array([3, 4])])
def test_other_values_of_numpy_are_no_integers(tiny_model: OpenTiny, wrong: object) -> None:
    with pytest.raises(gemel.ArgumentError, match="max_tokens="):
        tiny_model().generate([1], max_tokens=wrong)


@pytest.mark.parametrize("seed", [-(2**63), -2, 0, 2**64 - 1])
def test_any_64_bits_are_a_seed(seed: int) -> None:
    assert gemel.Sampling(seed=seed).seed == seed % 2**64


def test_a_seed_of_minus_1_is_drawn(tiny_model: OpenTiny) -> None:
    assert gemel.Sampling(seed=-1) == gemel.Sampling()
    model = tiny_model()
    assert len({model.generate([1], seed=-1).seed for _ in range(4)}) > 1


def test_a_top_p_of_0_is_the_likeliest_token(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    greedy = model.generate([1, 2], max_tokens=12, temperature=0)
    least = model.generate([1, 2], max_tokens=12, temperature=1, top_p=0, top_k=0, min_p=0)
    assert least.read() == greedy.read()


def test_a_top_k_below_0_is_off() -> None:
    assert gemel.Sampling(top_k=-1) == gemel.Sampling(top_k=0)


def test_other_names_of_an_option_are_accepted_once(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    assert model.generate([1], repetition_penalty=1.2).sampling.repeat_penalty == 1.2
    with pytest.raises(TypeError, match="repetition_penalty is another name of repeat_penalty"):
        model.generate([1], repetition_penalty=1.2, repeat_penalty=1.1)


def test_no_stop_string_is_written_as_none_or_nothing(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    empty: tuple[Any, ...] = (None, (), [])
    texts = {model.generate([1], max_tokens=3, temperature=0, stop=stop).read() for stop in empty}
    assert len(texts) == 1


def test_messages_of_parts_and_without_text_are_rendered(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=SHOWN)
    ids = model.prompt_ids([
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None},
    ])
    assert ids == model.prompt_ids("user: a\nb\nassistant: \n")


@pytest.mark.parametrize(("message", "words"), [
    ({"role": "user", "content": None}, r"messages\[0\].content: it must have text"),
    ({"role": "user", "content": 5}, r"messages\[0\].content: must be a text or a list of text parts, not 5"),
    ({"role": "user", "content": [{"type": "audio"}]}, r"messages\[0\].content\[0\]: only parts like"),
])
def test_a_message_that_is_no_text_is_an_error_that_names_the_place(
    tiny_model: OpenTiny, message: Any, words: str  # noqa: ANN401
) -> None:
    with pytest.raises(gemel.ArgumentError, match=words):
        tiny_model(chat_template=SHOWN).prompt_ids([message])


@pytest.mark.parametrize(("prompt", "words"), [
    (b"hello", "not bytes: decode it first"),
    (bytearray(b"hello"), "not bytearray: decode it first"),
    (memoryview(b"hello"), "not memoryview: decode it first"),
    (None, "not NoneType"),
    (5, "not int"),
    ({1, 2}, "not set"),
    ({1: 2}, "not dict"),
    (["hello"], r"prompt\[0\] is 'hello'"),
    ([1, 2.0], r"prompt\[1\] is 2.0"),
    ([True], r"prompt\[0\] is True"),
    ([{"role": "user", "content": "x"}], r"pass messages to chat\(\) or prompt_ids\(\)"),
])
def test_a_prompt_of_another_type_is_a_type_error(tiny_model: OpenTiny, prompt: Any, words: str) -> None:  # noqa: ANN401
    model = tiny_model(chat_template=SHOWN)
    for call in (model.generate, model.score):
        with pytest.raises(TypeError, match=words):
            call(prompt)


def test_ids_come_in_any_sequence_of_integers(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    numbers = array("i", [1, 2, 3])
    for given in ((1, 2, 3), range(1, 4), numbers, np.array(numbers), memoryview(numbers)):
        assert model.prompt_ids(given) == [1, 2, 3]
