"""A wrong type at the boundary is a TypeError that names the argument and its value; what is closed says what it is."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import gemel
import numpy as np
import pytest
from conftest import CHATML, tiny_bytes
from gemel.profiling import Profile, limits

Call = Callable[[Any], object]   # of a wrong value
MESSAGES = [{"role": "user", "content": "x"}]
IDS: tuple[Any, ...] = (
    None, 5, b"ab", bytearray(b"ab"), {1, 2}, {1: 2}, [1.0], ["1"], [True], [None], [b"a"], np.ones(2)
)
FLAGS: tuple[Any, ...] = ("yes", "", 1, 0, None, [], np.int64(1))
ONLY_FLAGS = tuple(value for value in FLAGS if value is not None)
INTEGERS: tuple[Any, ...] = ("4", 4.0, True, [4], b"4", np.float32(4))
NUMBERS: tuple[Any, ...] = ("0.7", None, True, [0.7], 1j)
TEXTS: tuple[Any, ...] = (None, 5, b"x", ["x"], MESSAGES)
NOT_NONE = INTEGERS   # where None is the default


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    """A model, without the types that its calls promise."""
    with gemel.open(tiny_bytes(chat_template=CHATML), threads=1) as model:
        yield model


def clock(zone: str) -> str:
    """Tell the time."""
    return zone


def calls(model: Any) -> dict[str, tuple[tuple[Any, ...], Call]]:  # noqa: ANN401
    """Return by place, the argument's name last: wrong values, and the call that takes one."""
    session, chat, sampler = model.session(), model.chat(), model.sampler()
    header, plan = gemel.inspect(tiny_bytes()), gemel.plan(tiny_bytes(), n_ctx=64)
    ranker: Any = gemel.open(tiny_bytes(arch="bert", tokenizer="bert", scores=1), threads=1)

    async def opened(**options: Any) -> object:  # noqa: ANN401
        return await gemel.open_async(tiny_bytes(), **options)

    table: dict[str, tuple[tuple[Any, ...], Call]] = {
        "open model": ((None, 5, [b"x"]), gemel.open),
        "open threads": (NOT_NONE, lambda v: gemel.open(tiny_bytes(), threads=v)),
        "open isa": ((5, b"scalar", ["scalar"]), lambda v: gemel.open(tiny_bytes(), isa=v)),
        "open on_progress": ((5, "x"), lambda v: gemel.open(tiny_bytes(), on_progress=v)),
        "open prompt": ((5, b"x", {"role": "user"}, [1.5]), lambda v: gemel.open(tiny_bytes(), prompt=v)),
        "open draft": ((None, 1, 0.5, ["x"]), lambda v: gemel.open(tiny_bytes(), draft=v)),
        "open cache": (FLAGS, lambda v: gemel.open(tiny_bytes(), cache=v)),
        "open overrides": ((5, "x", [("a", 1)], {5: 1}, {"a": None}), lambda v: gemel.open(tiny_bytes(), overrides=v)),
        "open_async threads": (NOT_NONE, lambda v: asyncio.run(opened(threads=v))),
        "open_async cache": (FLAGS, lambda v: asyncio.run(opened(cache=v))),
        "inspect model": ((None, 5), gemel.inspect),
        "plan n_ctx": ((None, *INTEGERS), lambda v: gemel.plan(tiny_bytes(), n_ctx=v)),
        "plan kv_type": ((5, b"f16", ["f16"]), lambda v: gemel.plan(tiny_bytes(), n_ctx=64, kv_type=v)),
        "plan threads": (NOT_NONE, lambda v: gemel.plan(tiny_bytes(), n_ctx=64, threads=v)),
        "plan memory": (NOT_NONE, lambda v: gemel.plan(tiny_bytes(), n_ctx=64, memory=v)),
        "Plan.check memory": ((None, *INTEGERS), plan.check),
        "Plan.n_ctx_within memory": ((None, *INTEGERS), plan.n_ctx_within),
        "Gguf.plan n_ctx": ((None, *INTEGERS), lambda v: header.plan(n_ctx=v)),
        "Gguf.plan threads": (NOT_NONE, lambda v: header.plan(n_ctx=64, threads=v)),
        "Metadata.first n": (INTEGERS, lambda v: header.metadata.first("tokenizer.ggml.tokens", v)),
        "pull name": ((None, 5, b"x"), gemel.pull),
        "model_files model": ((None, 5, b"x"), gemel.model_files),
        "cache.path name": ((None, 5, b"x"), gemel.cache.path),
        "cache.delete name": ((None, 5, b"x"), gemel.cache.delete),
        "check_overrides overrides": ((5, "x", [1]), gemel.check_overrides),
        "pooled rows": ((None, 5, [[0.5]]), gemel.pooled),
        "pooled pooling": (TEXTS, lambda v: gemel.pooled(np.ones((2, 4), np.float32), v)),
        "pooled normalize": (FLAGS, lambda v: gemel.pooled(np.ones((2, 4), np.float32), normalize=v)),
        "Profile session": ((None, 5, model), Profile),
        "Profile capacity": ((None, *INTEGERS), lambda v: Profile(session, v)),
        "limits model": ((None, 5, session), limits),
        "limits seconds": (NUMBERS, lambda v: limits(model, v)),
        "Pace model": ((None, 5), gemel.Pace),
        "session n_ctx": (NOT_NONE, model.session),
        "session kv_type": ((5, b"f16", ["f16"]), lambda v: model.session(kv_type=v)),
        "set_threads threads": (NOT_NONE, model.set_threads),
        "set_isa isa": ((5, b"scalar"), model.set_isa),
        "tokenize text": (TEXTS, model.tokenize),
        "tokenize special": (FLAGS, lambda v: model.tokenize("x", special=v)),
        "tokenize bos_eos": (FLAGS, lambda v: model.tokenize("x", bos_eos=v)),
        "detokenize ids": ((*IDS, "ab"), model.detokenize),
        "detokenize special": (FLAGS, lambda v: model.detokenize([1], special=v)),
        "piece id": ((None, *INTEGERS), model.piece),
        "is_eog id": ((None, *INTEGERS), model.is_eog),
        "is_control id": ((None, *INTEGERS), model.is_control),
        "prompt_ids prompt": (IDS, model.prompt_ids),
        "prompt_ids special": (FLAGS, lambda v: model.prompt_ids("x", special=v)),
        "prompt_ids final": (FLAGS[:4], lambda v: model.prompt_ids(MESSAGES, continue_final_message=v)),
        "prompt_ids add_generation_prompt": (FLAGS[:4], lambda v: model.prompt_ids(MESSAGES, add_generation_prompt=v)),
        "Chat.prompt_ids final": (FLAGS[:4], lambda v: chat.prompt_ids(MESSAGES, continue_final_message=v)),
        "Chat.prompt_ids prompt": (FLAGS[:4], lambda v: chat.prompt_ids(MESSAGES, add_generation_prompt=v)),
        "send continue_final_message": (FLAGS[:4], lambda v: chat.send("x", continue_final_message=v)),
        "send add_generation_prompt": (FLAGS[:4], lambda v: chat.send("x", add_generation_prompt=v)),
        "prompt_ids continue_final": (FLAGS[:4], lambda v: model.prompt_ids(MESSAGES, continue_final=v)),
        "prompt_ids content": (TEXTS[1:3], lambda v: model.prompt_ids([{"role": "user", "content": v}])),
        "prompt_ids messages": ((None,), lambda v: model.prompt_ids([{"role": "user"}])),
        "draft_cache texts": ((None, 5, "abc", [5], [None]), lambda v: model.draft_cache(v)),
        "draft_cache least": (INTEGERS, lambda v: model.draft_cache(["abab"], least=v)),
        "decode sessions": ((None, 5, [5], session), lambda v: model.decode(v, [1])),
        "decode ids": ((*IDS, "x"), lambda v: model.decode([session], v)),
        "step sessions": ((None, [model]), lambda v: model.step(v, [[1]])),
        "step ids": ((None, 5, [None], [[1.5]], "x"), lambda v: model.step([session], v)),
        "step samplers": ((5, [5], sampler), lambda v: model.step([session], [[1]], v)),
        "step logits": (FLAGS, lambda v: model.step([session], [[1]], logits=v)),
        "sampler sampling": ((5, {"top_k": 1}, "x"), model.sampler),
        "sampler grammar": ((5, 'root ::= "a"'), lambda v: model.sampler(grammar=v)),
        "grammar grammar": ((5, b"x", ["x"]), model.grammar),
        "grammar regex": ((5, b"x", ["x"]), lambda v: model.grammar(regex=v)),
        "grammar choices": ((5, "x", b"x", [5], [None], {"x"}), lambda v: model.grammar(choices=v)),
        "begin is_message": (FLAGS, lambda v: sampler.begin(is_message=v)),
        "Sampler.accept ids": ((*IDS, "x"), sampler.accept),
        "chat system": (TEXTS[1:], model.chat),
        "chat template": ((5, b"x"), lambda v: model.chat(template=v)),
        "chat tools": ((5, "x", {"a": 1}, b"x"), lambda v: model.chat(tools=v)),
        "ask question": (TEXTS, model.ask),
        "ask system": (TEXTS[1:], lambda v: model.ask("x", v)),
        "resume_chat saved": ((None, 5, [b"x"]), model.resume_chat),
        "resume_chat n_ctx": (NOT_NONE, lambda v: model.resume_chat(chat.save(), n_ctx=v)),
        "embed texts": ((None, 5, b"x", [b"x"], [None], {"x"}), model.embed),
        "embed pooling": (TEXTS[1:], lambda v: model.embed("x", v)),
        "embed truncate_dim": (NOT_NONE, lambda v: model.embed("x", truncate_dim=v)),
        "embed prompt": (TEXTS[1:], lambda v: model.embed("x", prompt=v)),
        "embed overflow": (TEXTS, lambda v: model.embed("x", overflow=v)),
        "embed normalize": (FLAGS, lambda v: model.embed("x", normalize=v)),
        "rerank query": (TEXTS, lambda v: ranker.rerank(v, ["x"])),
        "rerank documents": ((None, 5, "x", b"x", [b"x"], [None], {"x"}), lambda v: ranker.rerank("x", v)),
        "rerank top_n": (NOT_NONE, lambda v: ranker.rerank("x", ["x"], v)),
        "rerank normalize": (FLAGS, lambda v: ranker.rerank("x", ["x"], normalize=v)),
        "score prompt": (IDS, model.score),
        "turn messages": ((None, 5, "x", {1}), model.turn),
        "turn tools": (NOT_NONE, lambda v: model.turn(MESSAGES, tools=v)),
        "turn tool_choice": ((5, ["x"]), lambda v: model.turn(MESSAGES, tool_choice=v)),
        "turn allowed_tools": (NOT_NONE, lambda v: model.turn(MESSAGES, tools=[{"name": "x"}], allowed_tools=v)),
        "turn parallel_tool_calls": (ONLY_FLAGS, lambda v: model.turn(MESSAGES, tools=[clock], parallel_tool_calls=v)),
        "turn reasoning_budget": (INTEGERS, lambda v: model.turn(MESSAGES, reasoning_budget=v)),
        "run tools": (NOT_NONE, lambda v: chat.run("x", tools=v)),
        "run max_rounds": ((None, *INTEGERS), lambda v: chat.run("x", tools=[clock], max_rounds=v)),
        "run on_call": ((5, "x"), lambda v: chat.run("x", tools=[clock], on_call=v)),
        "run raise_errors": (FLAGS, lambda v: chat.run("x", tools=[clock], raise_errors=v)),
        "send content": ((5, b"x", {"a": 1}, MESSAGES[0]), chat.send),
        "Chat.prompt_ids messages": ((5, "x", [5], ["x"]), chat.prompt_ids),
        "Chat.save path": ((5, b"x"), chat.save),
        "cancel on": (FLAGS, session.cancel),
        "truncate n_past": ((None, *INTEGERS), session.truncate),
        "fork n_past": (NOT_NONE, session.fork),
        "page_keys salt": ((None, 5, "x"), session.page_keys),
        "append_rows rows": ((None, 5, [[0.5]]), session.append_rows),
        "layers first": ((None, *INTEGERS), lambda v: session.layers(np.ones((1, model.n_embd), np.float32), v, 1)),
        "Session.save path": ((5, b"x"), session.save),
        "restore saved": ((None, 5, [1]), session.restore),
        **{
            f"{name} ids": ((*IDS, "x"), getattr(session, name))
            for name in ("sync", "append", "score", "hidden", "log_probs")
        },
    }
    batch, ranks = model.batch(), ranker.batch()
    table |= {
        "batch n_ctx": (NOT_NONE, model.batch),
        "batch kv_type": ((5, b"f16"), lambda v: model.batch(kv_type=v)),
        "batch cache_memory": (NOT_NONE, lambda v: model.batch(cache_memory=v)),
        "batch max_running": (NOT_NONE, lambda v: model.batch(max_running=v)),
        "batch step_seconds": (NUMBERS[:1] + NUMBERS[2:], lambda v: model.batch(step_seconds=v)),
        "generate_many prompts": ((None, 5, b"x", {1}), model.generate_many),
        "Batch.generate prompt": (IDS, batch.generate),
        "Batch.generate n_ctx": (NOT_NONE, lambda v: batch.generate("x", n_ctx=v)),
        "Batch.answer messages": ((None, 5, "x", {1}), batch.answer),
        "Batch.answer template_options": ((5, "x", [1]), lambda v: batch.answer(MESSAGES, template_options=v)),
        "Batch.generate is_answer": (FLAGS, lambda v: batch.generate("x", is_answer=v)),
        "Batch.generate key": (TEXTS, lambda v: batch.generate("x", key=v)),
        "Batch.generate priority": ((None, *INTEGERS), lambda v: batch.generate("x", priority=v)),
        "Batch.generate cache_salt": (TEXTS, lambda v: batch.generate("x", cache_salt=v)),
        "Batch.generate on_drawn": ((5, "x"), lambda v: batch.generate("x", on_drawn=v)),
        "Batch.embed prompt": (IDS, batch.embed),
        "Batch.embed pooling": (TEXTS[1:], lambda v: batch.embed("x", v)),
        "Batch.embed truncate_dim": (NOT_NONE, lambda v: batch.embed("x", truncate_dim=v)),
        "Batch.embed normalize": (FLAGS, lambda v: batch.embed("x", normalize=v)),
        "Batch.rank query": (TEXTS, lambda v: ranks.rank(v, "x")),
        "Batch.rank document": (TEXTS, lambda v: ranks.rank("x", v)),
        "Batch.rank normalize": (FLAGS, lambda v: ranks.rank("x", "x", normalize=v)),
        "Batch.rank key": (TEXTS, lambda v: ranks.rank("x", "x", key=v)),
        "Batch.rank priority": ((None, *INTEGERS), lambda v: ranks.rank("x", "x", priority=v)),
        "Batch.embed key": (TEXTS, lambda v: batch.embed("x", key=v)),
        "Batch.embed priority": ((None, *INTEGERS), lambda v: batch.embed("x", priority=v)),
        "Batch.score prompt": (IDS, batch.score),
        "ready generation": ((None, 5, session), batch.ready),
    }
    best = session.likeliest
    table[f"{best.__name__} n"] = ((None, *INTEGERS), best)
    for name, call in {"generate": model.generate, "Session.generate": session.generate}.items():
        table[f"{name} prompt"] = (IDS, call)
        table[f"{name} special"] = (FLAGS, lambda v, call=call: call("x", special=v))   # type: ignore[misc]
    table["generate is_answer"] = (FLAGS, lambda v: session.generate("x", is_answer=v))
    table["generate n_ctx"] = (NOT_NONE, lambda v: model.generate("x", n_ctx=v))
    table["generate kv_type"] = ((5, ["f16"]), lambda v: model.generate("x", kv_type=v))
    answers = (lambda **o: model.generate("x", **o), lambda **o: chat.send("x", **o), lambda **o: model.ask("x", **o))
    for i, call in enumerate(answers):
        table[f"answer {i} max_tokens"] = (INTEGERS, lambda v, call=call: call(max_tokens=v))   # type: ignore[misc]
        table[f"answer {i} stop"] = ((5, [5], b"x", [b"x"]), lambda v, call=call: call(stop=v))   # type: ignore[misc]
        table[f"answer {i} sampling"] = ((5, {}), lambda v, call=call: call(sampling=v))   # type: ignore[misc]
    others = {"seed": NOT_NONE, "logit_bias": (5, "x", [1], {"a": 1}, {1: "x"}), "dry_breakers": (5, "x", [5])}
    for field in inspect.signature(gemel.Sampling).parameters:
        wrong: tuple[Any, ...] = NUMBERS
        if field in others:
            wrong = others[field]
        elif isinstance(getattr(gemel.Sampling(), field), int) or field == "mirostat":
            wrong = (None, *INTEGERS)
        table[f"Sampling {field}"] = (wrong, lambda v, field=field: model.generate("x", **{field: v}))   # type: ignore[misc]
    return table


def test_a_wrong_type_is_a_type_error_with_name_and_value(model: Any) -> None:  # noqa: ANN401
    wrong = []
    for place, (values, call) in calls(model).items():
        name = place.rpartition(" ")[2]
        for value in values:
            try:
                call(value)
            except TypeError as error:
                told = str(error)
                is_named = name.removesuffix("s") in told or name in ("first", "content", "messages", "text")
                parts = isinstance(value, list | dict | np.ndarray)   # of which one is shown
                is_shown = type(value).__name__ in told or repr(value)[:20] in told or parts
                if not (isinstance(error, gemel.ArgumentError) and is_named and (is_shown or name == "messages")):
                    wrong.append(f"{place} {value!r}: {told}")
            except Exception as error:
                wrong.append(f"{place} {value!r}: {type(error).__name__}: {error}")
            else:
                wrong.append(f"{place} {value!r}: accepted")
    assert "\n".join(wrong) == ""


def test_every_public_call_with_arguments_is_in_the_table(model: Any) -> None:  # noqa: ANN401
    named = " ".join(calls(model))
    for kind in (gemel.Model, gemel.Session, gemel.Chat, gemel.Sampler, gemel.Plan, gemel.Batch):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_") and len(inspect.signature(method).parameters) > 1:
                assert name in named, f"{kind.__name__}.{name}"
    for name in gemel.__all__:
        if inspect.isfunction(getattr(gemel, name)) and inspect.signature(getattr(gemel, name)).parameters:
            assert name in named, name


# ---- Closed, and not copied ------------------------------------------------------------------------------------------


def test_what_is_closed_says_what_it_is() -> None:
    model: Any = gemel.open(tiny_bytes(chat_template=CHATML))
    session, chat, sampler, header = model.session(), model.chat(), model.sampler(), gemel.inspect(tiny_bytes())
    for one in (session, chat, sampler, header):
        one.close()
    for call, noun in (
        (lambda: session.append([1]), "session"), (lambda: session.n_past, "session"), (session.save, "session"),
        (lambda: session.generate("x").read(), "session"), (lambda: chat.send("x"), "chat"), (chat.save, "chat"),
        (lambda: sampler.accept([1]), "sampler"), (lambda: header.metadata["x"], "header"),
        (lambda: header.plan(n_ctx=8), "header"),
    ):   # fmt: skip
        with pytest.raises(gemel.ArgumentError, match=f"this {noun} is closed: open "):
            call()
    model.close()
    for call in (lambda: model.chat(), lambda: model.ask("x"), lambda: model.generate("x"), lambda: model.embed("x"),
                 lambda: model.score("x"), lambda: model.sampler(), lambda: model.n_batch and model.threads,
                 lambda: model.set_threads(1), lambda: limits(model, 0.001)):   # fmt: skip
        with pytest.raises(gemel.ArgumentError, match="this model is closed: open "):
            call()
    for one in (model, model.metadata, session, chat, sampler, header):
        assert "gemel." in repr(one)


def test_nothing_that_holds_memory_of_the_core_is_copied(model: Any) -> None:  # noqa: ANN401
    with model.session() as session, model.chat() as chat, gemel.inspect(tiny_bytes()) as header:
        objects = {
            "gemel.Model": model, "gemel.Session": session, "gemel.Chat": chat, "gemel.Gguf": header,
            "gemel.Batch": model.batch(), "gemel.BatchFuture": model.batch().score("x"),
            "gemel.Generation": session.generate("x"), "gemel.Sampler": model.sampler(),
            "gemel.profiling.Profile": Profile(session),
        }   # fmt: skip
        for name, one in objects.items():
            for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match=f"a {name} can't be copied or pickled: .{{8}}"):
                    duplicate(one)


def test_plain_values_are_copied_and_pickled(model: Any) -> None:  # noqa: ANN401
    plan = gemel.plan(tiny_bytes(), n_ctx=64)
    for one in (gemel.Sampling(top_k=3), plan, model.info, model.tensors[0], gemel.Timings(), gemel.Drawn(1, b"", None),
                gemel.NAMES["smollm2-135m-instruct"], gemel.ArgumentTypeError("x")):   # fmt: skip
        again = pickle.loads(pickle.dumps(one))
        assert repr(again) == repr(one)
        assert repr(copy.deepcopy(one)) == repr(one)
