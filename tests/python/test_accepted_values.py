"""Values as callers write them: numbers of numpy, limits and seeds as other programs write them, messages in parts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import doctest
import json
import multiprocessing
import pickle
import re
from array import array
from collections.abc import Callable
from typing import Any

import gemel
import numpy as np
import pytest
from gemel.core import hints, scalars
from gemel.text import ids, messages

OpenTiny = Callable[..., Any]   # gemel.Model, which also takes what its types do not promise
SHOWN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


@pytest.mark.parametrize("module", [hints, scalars, messages, ids])
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


LIMITS = ("max_new_tokens", "n_predict", "max_completion_tokens")


@pytest.mark.parametrize(("other", "name"), [(other, "max_tokens") for other in LIMITS])
def test_a_limit_has_the_names_of_other_programs(tiny_model: OpenTiny, other: str, name: str) -> None:
    model = tiny_model(chat_template=SHOWN)
    with model.session() as session, model.chat() as chat:
        for call in (model.generate, session.generate, chat.send):
            generation = call("a", **{other: 3}, logit_bias={0: -100, 2: -100})
            generation.read()
            assert len(generation.ids) == 3
        with pytest.raises(TypeError, match=f"{other} is another name of {name}"):
            model.generate("a", **{other: 3, name: 3})


@pytest.mark.parametrize("given", [
    {"max_tokens": -1, "n_predict": 3}, {"max_tokens": 3, "max_new_tokens": None}, {"max_tokens": 3, "n_predict": -1},
    {"max_new_tokens": -1, "max_completion_tokens": 3, "n_predict": None},
    {"max_tokens": np.int64(-1), "max_completion_tokens": np.int64(3)},
    {"max_tokens": 3, "stop": "never", "stop_sequences": None},
])
def test_what_counts_as_left_out_is_no_second_name(tiny_model: OpenTiny, given: dict[str, Any]) -> None:
    model = tiny_model(chat_template=SHOWN)
    with model.session() as session, model.chat() as chat, model.batch() as batch:
        for call in (model.generate, session.generate, chat.send, batch.generate):
            generation = call("a", **given, logit_bias={0: -100, 2: -100})
            generation.read()
            assert len(generation.ids) == 3


@pytest.mark.parametrize("other", LIMITS)
@pytest.mark.parametrize("none", [None, -1])
def test_no_limit_has_the_names_of_other_programs(tiny_model: OpenTiny, other: str, none: int | None) -> None:
    generation = tiny_model().generate("a", n_ctx=16, logit_bias={0: -100, 2: -100}, **{other: none})
    generation.read()
    assert generation.stop_reason == "length"


@pytest.mark.parametrize(("name", "wrong"), [
    *((name, wrong) for name in ("max_tokens", *LIMITS) for wrong in (0, -2, 1.5, "3", True)),
    *(("repetition_penalty", wrong) for wrong in (0, None, "1", float("nan"))),
])
def test_an_error_has_the_name_that_was_passed(tiny_model: OpenTiny, name: str, wrong: object) -> None:
    with pytest.raises(gemel.ArgumentError, match=f"^{name}="):
        tiny_model().generate("a", **{name: wrong})


def test_stop_sequences_are_stop_strings(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    whole = model.generate("a", max_tokens=8, temperature=0).read()
    cut = model.generate("a", max_tokens=8, temperature=0, stop_sequences=[whole[3]])
    assert cut.read() == whole[: whole.index(whole[3])]
    assert cut.stop_reason == "stop"


@pytest.mark.parametrize(("sent", "meant"), [
    ("max_token", "max_tokens"), ("maxTokens", "max_tokens"), ("Temperature", "temperature"), ("n_ctxt", "n_ctx"),
    ("topk", "top_k"),
])
def test_an_unknown_option_suggests_the_nearest_of_the_call(tiny_model: OpenTiny, sent: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"no option '{sent}'; did you mean '{meant}'"):
        tiny_model().generate("a", **{sent: 1})


@pytest.mark.parametrize("sent", ["system", "stream", "colour"])
def test_an_option_that_is_like_none_gets_no_suggestion(tiny_model: OpenTiny, sent: str) -> None:
    with pytest.raises(TypeError, match=f"there is no option '{sent}'$"):
        tiny_model().generate("a", **{sent: 1})


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
    assert ids == model.prompt_ids("user: a\nb\nassistant: ")


@pytest.mark.parametrize(("message", "words"), [
    ({"role": "user", "content": None}, r"messages\[0\].content: it must have text"),
    ({"role": 5, "content": "x"}, r"messages\[0\].role: must be a string, such as 'user', not 5"),
    ({"role": "user", "content": 5}, r"messages\[0\].content: must be a string or a list of text parts, not 5"),
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


# ---- Chats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "words"), [
    ({"temperature": 0}, r"temperature is an option of the answer, not of the chat: pass it to send\(\)"),
    ({"max_tokens": 10}, r"max_tokens is an option of the answer, not of the chat: pass it to send\(\)"),
    ({"systm": "x"}, "systm: this chat template reads no such option; did you mean 'system'"),
    ({"enable_think": True}, "enable_think: this chat template reads no such option; did you mean 'enable_thinking'"),
    ({"colour": 1}, "colour: this chat template reads no such option$"),
])
def test_an_option_that_the_template_never_reads_is_an_error(
    tiny_model: OpenTiny, options: dict[str, Any], words: str
) -> None:
    model = tiny_model(chat_template=SHOWN + "{{ enable_thinking }}")
    model.chat(enable_thinking=True).close()
    for call in (model.chat, lambda **given: model.prompt_ids([{"role": "user", "content": "x"}], **given)):
        with pytest.raises(TypeError, match=words):
            call(**options)


def test_named_templates_are_chosen_by_name_and_by_tools(tiny_model: OpenTiny) -> None:
    named = [("tokenizer.chat_template.tool_use", "string", "T{{ tools|length }}"),
             ("tokenizer.chat_template.rag", "string", "R")]   # fmt: skip
    model = tiny_model(chat_template="D", kv=named)
    hi = [{"role": "user", "content": "x"}]
    assert model.chat_templates == {"tool_use": "T{{ tools|length }}", "rag": "R"}
    assert model.prompt_ids(hi) == model.prompt_ids("D")
    assert model.prompt_ids(hi, tools=[{"name": "a"}, {"name": "b"}]) == model.prompt_ids("T2")
    assert model.prompt_ids(hi, template="rag") == model.prompt_ids("R")
    assert model.prompt_ids(hi, template="default") == model.prompt_ids("D")
    for wrong in ("other", "RAG", "./template.jinja", "two words", ""):   # else the messages would be dropped
        with pytest.raises(gemel.TemplateError, match="neither jinja nor the name .*; it has: default, rag, tool_use"):
            model.prompt_ids(hi, template=wrong)
    with tiny_model(kv=named) as unnamed:
        with pytest.raises(gemel.TemplateError, match="only named chat templates: .* one of tool_use, rag"):
            unnamed.chat()
        assert unnamed.prompt_ids(hi, template="rag") == unnamed.prompt_ids("R")


def test_a_message_field_that_the_template_does_not_read_is_an_error(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=SHOWN)
    with pytest.raises(gemel.ArgumentError, match=r"messages\[1\].contnt: .* no such field; did you mean 'content'"):
        model.prompt_ids([{"role": "user", "content": "x"}, {"role": "user", "content": "x", "contnt": "y"}])
    with pytest.raises(gemel.ArgumentError, match=r"messages\[0\].nmae: .* no such field; did you mean 'name'"):
        model.prompt_ids([{"role": "user", "content": "x", "nmae": "y"}])
    message = {"role": "user", "content": "x", "colour": "red"}
    assert model.prompt_ids([message], template="{{ messages[0].colour }}") == model.prompt_ids("red")
    whole = "{{ messages|tojson }}"
    assert model.prompt_ids([message], template=whole) == model.prompt_ids(json.dumps([message]))
    for whole in ("{% for t in messages %}{% for key in t %}{{ t[key] }}{% endfor %}{% endfor %}", "{{ messages }}"):
        assert "red" in model.detokenize(model.prompt_ids([message], template=whole))


def test_a_refusal_that_is_continued_becomes_the_content(tiny_model: OpenTiny) -> None:
    with tiny_model(chat_template=SHOWN).chat() as chat:
        chat.messages += [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "refusal": "No"}]
        said = chat.send(max_tokens=2, temperature=0).read()
        assert chat.messages[1] == {"role": "assistant", "content": "No" + said}
        chat.send("And?", max_tokens=1).read()


def test_empty_reasoning_under_one_name_leaves_that_under_another(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template="{{ messages[0].reasoning_content }}")
    said = {"role": "assistant", "content": "a", "reasoning": "r", "reasoning_content": ""}
    ids = model.prompt_ids([said], add_generation_prompt=True)
    assert ids == model.prompt_ids("r")


def test_hints_know_the_other_names_of_options(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=SHOWN)
    for wrong, meant in (("nPredict", "n_predict"), ("stopSequences", "stop_sequences"), ("message", "")):
        with pytest.raises(TypeError, match=f"did you mean '{meant}'" if meant else "no such option$"):
            (model.chat if not meant else model.generate)(*([] if not meant else ["x"]), **{wrong: 5})


def test_a_last_message_of_the_assistants_is_continued(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=SHOWN)
    with model.chat() as chat:
        chat.messages += [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because"}]
        answer = chat.send(max_tokens=4, temperature=0)
        plain = model.generate("user: Why?\nassistant: Because", max_tokens=4, temperature=0)
        assert answer.read() == plain.read()
        assert answer.prompt_ids == plain.prompt_ids
        assert [message["content"] for message in chat.messages] == ["Why?", "Because" + answer.text]
    last = [{"role": "assistant", "content": "Because"}]
    assert model.prompt_ids(last) == model.prompt_ids("assistant: Because")
    assert model.prompt_ids(last, continue_final=False) == model.prompt_ids("assistant: Because\n")
    with pytest.raises(gemel.ArgumentError, match="there is nothing to continue"):
        model.prompt_ids([{"role": "user", "content": "x"}], continue_final=True)
    words = "can't continue the last message: the prompt does not contain its text"
    with pytest.raises(gemel.TemplateError, match=words):
        model.prompt_ids(last, template="{{ messages|length }}")


LAST = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because"}]
ENDINGS: list[tuple[dict[str, bool | None], str]] = [   # as vLLM names them; what the prompt ends with
    ({}, ""), ({"continue_final_message": True}, ""), ({"add_generation_prompt": False}, ""),
    ({"continue_final_message": None, "add_generation_prompt": None}, ""),
    ({"continue_final_message": True, "add_generation_prompt": False}, ""),
    ({"continue_final_message": False}, "\n"), ({"add_generation_prompt": True}, "\n"),
    ({"continue_final_message": False, "add_generation_prompt": True}, "\n"),
]


@pytest.mark.parametrize(("flags", "end"), ENDINGS)
def test_the_last_message_is_continued_or_not_as_vllm_names_it(
    tiny_model: OpenTiny, flags: dict[str, Any], end: str
) -> None:
    model = tiny_model(chat_template=SHOWN + "{% if add_generation_prompt %}{% endif %}")
    ids = model.prompt_ids(f"user: Why?\nassistant: Because{end}")
    assert model.prompt_ids(LAST, **flags) == ids
    with model.chat() as chat:
        chat.messages += [dict(message) for message in LAST]
        assert chat.prompt_ids(**flags) == ids
        answer = chat.send(max_tokens=3, temperature=0, **flags)
        assert answer.prompt_ids == ids
        text = answer.read()
        contents = [message["content"] for message in chat.messages]
        assert contents == (["Why?", "Because", text] if end else ["Why?", f"Because{text}"])


@pytest.mark.parametrize(("messages", "flags", "words"), [
    (LAST[:1], {"continue_final_message": True}, "continue_final_message: the last message is not the assistant's"),
    (LAST[:1], {"add_generation_prompt": False}, "add_generation_prompt: it can be false only if the answer continues"),
    (LAST, {"continue_final_message": True, "add_generation_prompt": True},
     "continue_final_message: it can't be combined with add_generation_prompt: pass only one of them"),
    (LAST, {"continue_final_message": False, "add_generation_prompt": False},
     "add_generation_prompt: it can be false only if the answer continues"),
])
def test_flags_that_exclude_each_other_are_refused(
    tiny_model: OpenTiny, messages: list[dict[str, str]], flags: dict[str, bool], words: str
) -> None:
    model = tiny_model(chat_template=SHOWN)
    with model.chat() as chat:
        chat.messages += messages
        with pytest.raises(gemel.ArgumentError, match=f"^{words}"):
            model.prompt_ids(messages, **flags)
        with pytest.raises(gemel.ArgumentError, match=f"^{words}"):
            chat.send(**flags)
        assert chat.messages == messages


def test_flags_of_an_answer_are_named_where_they_have_no_effect(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=SHOWN + "{{ add_generation_prompt }}")
    for name in ("continue_final_message", "add_generation_prompt"):
        flag: dict[str, Any] = {name: True}
        with pytest.raises(TypeError, match=rf"^{name} is an option of the answer, not of the chat: pass it to send"):
            model.chat(**flag)
        with pytest.raises(gemel.ArgumentError, match=f"^{name} has no effect without messages"):
            model.prompt_ids("x", **flag)
    with pytest.raises(TypeError, match="continue_final is another name of continue_final_message: pass only one"):
        model.prompt_ids(LAST, continue_final=True, continue_final_message=True)
    with pytest.raises(gemel.ArgumentError, match="^continue_final: the last message is not the assistant's"):
        model.prompt_ids(LAST[:1], continue_final=True)


def test_ask_answers_one_question(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=SHOWN)
    with model.chat("Be brief.") as chat:
        expected = chat.send("Why?", max_tokens=5, temperature=0).read()
    assert model.ask("Why?", system="Be brief.", max_new_tokens=5, temperature=0) == expected
    with pytest.raises(TypeError, match="no option 'systm'; did you mean 'system'"):
        model.ask("Why?", systm="x")


# ---- Objects ---------------------------------------------------------------------------------------------------------


def test_models_sessions_generations_and_chats_are_not_copied(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=SHOWN)
    with model.session() as session, model.generate("a") as generation, model.chat() as chat:
        for one in (model, session, generation, chat):
            for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match=f"a gemel.{type(one).__name__} can't be copied or pickled: "):
                    duplicate(one)
    assert model.generate("a", max_tokens=2).read() is not None


def test_async_with_closes(tiny_model: OpenTiny) -> None:
    model = tiny_model()

    async def main() -> str:
        async with model.session() as session, session.generate("a") as generation:
            await anext(generation)
        assert session.closed
        return str(generation.stop_reason)

    assert asyncio.run(main()) == "cancelled"


def test_a_generations_repr_says_how_far_it_is(tiny_model: OpenTiny) -> None:
    generation = tiny_model().generate("a", max_tokens=4, logit_bias={0: -100, 2: -100})
    assert repr(generation) == "<gemel.Generation: 0 ids, not begun>"
    next(generation)
    assert "ids, running, prompt " in repr(generation)
    generation.read()
    speeds = r"prompt [\d.]+ tok/s, decode [\d.]+ tok/s"
    assert re.fullmatch(f"<gemel.Generation: 4 ids, length, {speeds}>", repr(generation))


def test_cancel_is_close(tiny_model: OpenTiny) -> None:
    generation = tiny_model().generate("a")
    generation.cancel()
    assert generation.stop_reason == "cancelled"


# ---- Copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_of_the_metadata_is_a_dict(model: gemel.Model) -> None:
    wanted = dict(model.metadata)
    assert copy.deepcopy(model.metadata) == pickle.loads(pickle.dumps(model.metadata)) == wanted
    assert isinstance(copy.copy(model.metadata), dict)


def double(value: object) -> object:
    return value


def test_a_pool_of_processes_says_why_it_gets_no_model(model: gemel.Model) -> None:
    spawn = multiprocessing.get_context("spawn")
    words = "a gemel.Model can't be copied or pickled: .*another process opens the file itself"
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool, pytest.raises(TypeError, match=words):
        pool.submit(double, model).result()
    with spawn.Pool(1) as workers:
        with pytest.raises(TypeError, match=words):
            workers.map(double, [model])
        with pytest.raises(TypeError, match=words):
            workers.apply(model.ask, ("Why?",))
    with pytest.raises(TypeError, match=words):
        spawn.Process(target=double, args=(model,)).start()


def test_a_pool_of_threads_shares_a_model(model: gemel.Model) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: model.generate("a", max_tokens=3, temperature=0).read(), range(4)))
    assert len(set(answers)) == 1


def test_the_beginning_of_a_name_suggests_the_only_option_that_continues_it(model: gemel.Model) -> None:
    with pytest.raises(TypeError, match="'temp'; did you mean 'temperature'"):
        model.generate("a", temp=0.5)  # type: ignore[call-arg]


def test_sampling_itself_names_the_nearest_field() -> None:
    with pytest.raises(TypeError, match="there is no option 'temprature'; did you mean 'temperature'"):
        gemel.Sampling(temprature=1)   # type: ignore[call-arg]
    assert gemel.Sampling(repetition_penalty=1.2) == gemel.Sampling(repeat_penalty=1.2)   # type: ignore[call-arg]
