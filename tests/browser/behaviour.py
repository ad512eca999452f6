"""What gemel's API does, as one program: run unchanged on a desktop, in Pyodide under node and in tabs.

Needs only gemel and the files of test_behaviour.py in FOLDER. Each public coroutine function is a case; it
asserts what is right and returns what must be equal everywhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import warnings
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gemel

FOLDER = Path(__file__).resolve().parent
PROMPT = "the quick brown fox"
LONG = [1, *(3 + i % 250 for i in range(900))]   # longer than a micro-batch anywhere
Result = Any


def file(name: str) -> Path:
    return FOLDER / f"{name}.gguf"


def open_tiny(name: str = "chat") -> gemel.Model:
    return gemel.open(file(name))


def digest(data: object) -> str:
    return hashlib.sha256(bytes(data)).hexdigest()   # type: ignore[call-overload]


def logits_of(session: gemel.Session) -> str:
    return digest(memoryview(session.logits()).cast("B"))


@contextmanager
def raises(kind: type[BaseException], match: str = "") -> Iterator[None]:
    try:
        yield
    except kind as error:
        assert re.search(match, str(error)), str(error)  # noqa: PT017
        return
    raise AssertionError(f"no {kind.__name__} was raised")


# ---- Opening --------------------------------------------------------------------------------------------------------


async def opens_bytes_paths_and_files() -> Result:
    raw = file("chat").read_bytes()
    with gemel.open(raw) as first, gemel.open(str(file("chat"))) as second, gemel.open(io.BytesIO(raw)) as third:
        assert first.name == "<bytes>"
        facts = [(one.arch, one.n_vocab, one.n_params, one.n_layer, one.n_ctx) for one in (first, second, third)]
        assert facts[0] == facts[1] == facts[2]
    with await gemel.open_async(raw) as fourth, await gemel.open_async(file("chat")) as fifth:
        assert fourth.n_params == fifth.n_params == facts[0][2]
    return facts[0]


async def a_model_knows_its_file_and_who_computes_it() -> Result:
    with open_tiny() as model:
        info = model.info
        assert info.engine in ("native", "side module", "threads", "threads64")
        assert (info.isa, info.threads) == (model.isa, model.threads)
        assert info.why
        assert model.threads >= 1
        metadata = {key: model.metadata[key] for key in model.metadata if "tokens" not in key and "merges" not in key}
        tensors = [[one.name, one.format, list(one.shape)] for one in model.tensors]
        return [metadata, tensors, model.bos_id, model.eos_id, model.eot_id, model.chat_template, model.kv_size]


async def the_core_names_its_kernels() -> Result:
    rows = gemel.isas()
    assert any(rows.values())
    with open_tiny() as model:
        assert re.fullmatch(r"\d+\.\d+\.\d+", gemel.__version__)
        assert model.isa
        with raises(gemel.ArgumentError, "unknown instruction set"):
            gemel.open(file("chat"), isa="abacus")
    return gemel.__version__


async def loading_says_how_far_it_is() -> Result:
    seen: list[tuple[str, int, int]] = []
    with await gemel.open_async(file("chat"), on_progress=lambda *now: seen.append(now)):
        pass
    loads = [(done, total) for stage, done, total in seen if stage == "load"]
    assert [done for done, _ in loads] == sorted(done for done, _ in loads)
    assert loads[-1][0] == loads[-1][1]

    def refuse(*_: object) -> None:
        raise RuntimeError("enough")

    with raises(RuntimeError, "enough"):
        await gemel.open_async(file("chat"), on_progress=refuse)
    return loads[-1]


async def overrides_count_in_place_of_the_files_values() -> Result:
    given: dict[str, int | str] = {".rope.freq_base": 500, ".context_length": 4096, "tokenizer.chat_template": "x"}
    with await gemel.open_async(file("chat"), overrides=given) as model, model.session(64) as session:
        session.append(model.tokenize(PROMPT))
        with raises(gemel.ArgumentError, "has no effect"):
            await gemel.open_async(file("chat"), overrides={".rope.freqbase": 500})
        return [dict(model.overrides), model.n_ctx, model.chat_template, logits_of(session)]


async def a_header_is_read_alone() -> Result:
    with gemel.inspect(file("chat")) as header:
        return [header.version, header.size, header.metadata["general.architecture"], len(header.tensors)]


async def a_model_warns_of_what_it_goes_without() -> Result:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model = await gemel.open_async(file("wrong"))
    with model, gemel.inspect(file("wrong")) as header:
        assert [one.category for one in found] == [gemel.ModelWarning] * 2
        assert [str(one.message) for one in found] == [f"{model.name}: {text}" for text in model.warnings]
        assert header.warnings == model.warnings
        return [list(model.warnings), model.bos_id, model.tokenize(PROMPT)]


# ---- Text -----------------------------------------------------------------------------------------------------------


async def text_becomes_ids_and_comes_back() -> Result:
    texts = ["", "Hello, world!", "  two  spaces\n\ttab", "é🙂 漢字 العربية", "the " * 300, "\0\x7f", "naïve 12345"]
    found = []
    for name in ("chat", "spm"):
        with open_tiny(name) as model:
            for text in texts:
                ids = model.tokenize(text)
                assert model.detokenize(ids) == text
                found.append(ids)
            assert b"".join(map(model.piece, model.tokenize("é🙂"))).decode().strip() == "é🙂"
    return found


async def control_tokens_are_parsed_only_when_asked() -> Result:
    with open_tiny() as model:
        assert model.bos_id is not None
        text = model.piece(model.bos_id, special=True).decode()
        assert model.tokenize(text, special=True) == [model.bos_id]
        assert model.bos_id not in model.tokenize(text)
        assert model.detokenize([model.bos_id]) == ""
        assert model.is_control(model.bos_id)
        return [text, model.tokenize(text), [id for id in range(model.n_vocab) if model.is_eog(id)]]


# ---- Generating -----------------------------------------------------------------------------------------------------


async def greedy_text_is_the_same() -> Result:
    found = []
    for name in ("chat", "spm"):
        with open_tiny(name) as model:
            generation = model.generate(PROMPT, max_tokens=40, temperature=0)
            pieces = list(generation)
            assert "".join(pieces) == generation.text
            assert generation.stop_reason in ("length", "eos")
            assert generation.timings.n_evaluated == len(generation.prompt_ids)
            found.append([pieces, generation.ids, generation.stop_reason])
    return found


SAMPLINGS: list[dict[str, Any]] = [
    {"temperature": 1.5},
    {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.05},
    {"temperature": 1.0, "typical_p": 0.8, "xtc_probability": 0.5, "xtc_threshold": 0.02},
    {"mirostat": 2, "mirostat_tau": 3.0},
    {"temperature": 1.2, "repeat_penalty": 1.3, "frequency_penalty": 0.4, "presence_penalty": 0.2},
    {"temperature": 1.0, "dry_multiplier": 0.8, "logit_bias": {7: 5.0, 9: -3.5}},
]


async def a_seed_draws_the_same() -> Result:
    found = []
    with open_tiny() as model:
        for fields in SAMPLINGS:
            generation = model.generate(PROMPT, max_tokens=24, seed=11, **fields)
            generation.read()
            again = model.generate(PROMPT, max_tokens=24, seed=11, **fields)
            assert again.read() == generation.text
            found.append(generation.ids)
    assert len({tuple(ids) for ids in found}) == len(SAMPLINGS)
    return found


async def a_stop_string_ends_a_text() -> Result:
    with open_tiny() as model:
        whole = model.generate(PROMPT, max_tokens=30, temperature=0).read()
        stop = whole[len(whole) // 2 :][:4]
        generation = model.generate(PROMPT, max_tokens=30, temperature=0, stop=[stop, "\0never"])
        assert "".join(generation) == whole[: whole.find(stop)]
        assert generation.stop_reason == "stop"
        return generation.text


async def pieces_are_whole_characters() -> Result:
    """Only the four bytes of a few emoji can be drawn: most sequences are broken, some are whole."""
    with open_tiny() as model:
        wanted = {id for text in "🙂🙃" for id in model.tokenize(text)}
        bias = dict.fromkeys(wanted, 100.0)
        generation = model.generate(PROMPT, max_tokens=60, seed=3, temperature=5.0, logit_bias=bias)
        pieces = list(generation)
        raw = b"".join(map(model.piece, generation.ids))
        assert set(generation.ids) <= wanted
        assert "".join(pieces) == raw.decode("utf-8", "replace") == generation.text
        return pieces


async def text_comes_by_async_for_too() -> Result:
    with open_tiny() as model:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        pieces = [piece async for piece in model.generate(PROMPT, max_tokens=20, temperature=0)]
        counting.cancel()
        assert pieces == list(model.generate(PROMPT, max_tokens=20, temperature=0))
        assert turns >= len(pieces)
        return pieces


async def closing_ends_a_prefill_between_micro_batches() -> Result:
    """Another task closes the generation when some of the prompt, but not all of it, has been evaluated."""
    with open_tiny("long") as model:
        generation = model.generate(LONG, max_tokens=4, temperature=0)

        async def close_when_begun() -> None:
            while not generation.timings.n_evaluated:
                await asyncio.sleep(0)
            generation.close()

        closing = asyncio.ensure_future(close_when_begun())
        pieces = [piece async for piece in generation]
        await closing
        assert (pieces, generation.stop_reason) == ([], "cancelled")
        assert 0 < generation.timings.n_evaluated <= model.n_batch < len(LONG)
        return "closed"


async def breaking_off_a_loop_ends_a_generation() -> Result:
    with open_tiny() as model, model.session() as session:
        with session.generate(PROMPT, max_tokens=50, temperature=0) as generation:
            while not generation.text:
                next(generation)
        assert generation.stop_reason == "cancelled"
        assert len(generation.ids) < 50
        return [generation.text, generation.ids]


async def cancel_stops_one_call() -> Result:
    with open_tiny("long") as model, model.session(n_ctx=1000) as session:
        session.cancel()
        with raises(gemel.CancelledError):
            session.sync(LONG)
        kept = session.n_past
        assert kept < len(LONG)
        assert session.sync(LONG) == len(LONG) - kept
        assert session.ids == LONG
        with model.session(n_ctx=1000) as other:
            other.sync(LONG)
            assert logits_of(other) == logits_of(session)
        return logits_of(session)


# ---- Chat -----------------------------------------------------------------------------------------------------------


async def a_chat_keeps_what_was_evaluated() -> Result:
    with open_tiny() as model, model.chat(system="Be brief.") as chat:
        first = chat.send("Why?", max_tokens=6, temperature=0)
        first.read()
        second = chat.send("And <|im_end|> then?", max_tokens=6, temperature=0)
        second.read()
        assert second.timings.n_evaluated < second.timings.n_prompt
        assert [one["role"] for one in chat.messages] == ["system", "user", "assistant", "user", "assistant"]
        del chat.messages[-2:]
        ids = chat.prompt_ids()
        pieces = [piece async for piece in chat.send("Again?", max_tokens=5, temperature=0)]
        return [first.text, second.text, second.prompt_ids, ids, "".join(pieces)]


async def templates_are_the_files_or_the_callers() -> Result:
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content | upper }}\n{% endfor %}"
    with open_tiny() as model, model.chat(template=template) as chat:
        ids = chat.prompt_ids([{"role": "user", "content": "hey"}])
        assert model.detokenize(ids) == "[user] HEY\n"
    with open_tiny("spm") as plain, raises(gemel.TemplateError, "generate"):
        plain.chat()
    return ids


# ---- Sessions -------------------------------------------------------------------------------------------------------


async def a_session_evaluates_only_what_is_new() -> Result:
    with open_tiny() as model, model.session() as session:
        ids = list(range(5, 45))
        assert session.sync(ids) == 40
        first = logits_of(session)
        assert session.sync([*ids[:30], 99, 98]) == 2
        session.truncate(30)
        session.append(ids[30:])
        assert (session.ids, session.n_past, logits_of(session)) == (ids, 40, first)
        return first


async def a_saved_session_goes_on() -> Result:
    with open_tiny() as model, model.session(n_ctx=64) as session:
        session.sync(list(range(5, 35)))
        saved = session.save()
        session.save(FOLDER / "here.state")
        assert (FOLDER / "here.state").read_bytes() == saved
        with model.session(n_ctx=64) as other:
            other.restore(saved)
            assert (other.ids, logits_of(other)) == (session.ids, logits_of(session))
            other.append([7])
            session.append([7])
            assert logits_of(other) == logits_of(session)
            with raises(gemel.StateError):
                other.restore(saved[:-1])
            with raises(gemel.StateError):
                other.restore(saved[:100] + bytes([saved[100] ^ 1]) + saved[101:])
        with open_tiny("spm") as another, another.session() as stranger, raises(gemel.StateError):
            stranger.restore(saved)
        return [digest(saved), logits_of(session)]


async def a_saved_chat_goes_on() -> Result:
    with open_tiny() as model, model.chat("Be brief.", n_ctx=256) as chat:
        chat.send("Hi.", max_tokens=4, temperature=0).read()
        chat.save(FOLDER / "here.chat")
        saved = chat.save()
        answer = chat.send("Why?", max_tokens=6, seed=3).read()
        for form in (saved, FOLDER / "here.chat"):
            with model.resume_chat(form) as again:
                assert again.send("Why?", max_tokens=6, seed=3).read() == answer
                assert again.messages == chat.messages
        with raises(gemel.StateError):
            model.resume_chat(saved[:-1])
        return [digest(saved), answer]


async def a_session_saved_on_a_desktop_goes_on_here() -> Result:
    """desktop.state holds ids 5..34 in the model "chat"; other.state is the same with another number of its bits."""
    with open_tiny() as model, model.session(n_ctx=64) as session, model.session(n_ctx=64) as fresh:
        fresh.sync(list(range(5, 35)))
        for name, expected in (("other", [gemel.StateWarning]), ("desktop", [])):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                session.restore(FOLDER / f"{name}.state")
            assert [one.category for one in told] == expected
            assert (session.ids, logits_of(session)) == (fresh.ids, logits_of(fresh))
        assert session.save() == fresh.save()
        session.append([9])
        return logits_of(session)


async def sessions_take_a_token_each_in_one_pass() -> Result:
    with open_tiny() as model, model.session() as first, model.session() as second, model.session() as alone:
        first.sync([5, 6, 7])
        second.sync([8, 9])
        assert model.decode([first, second], [11, 12]) == [None, None]
        alone.sync([5, 6, 7, 11])
        assert logits_of(first) == logits_of(alone)
        return [logits_of(first), logits_of(second)]


async def forks_share_pages_and_keep_their_bits() -> Result:
    found = []
    kv_types: list[Any] = ["f32", "f16", "q8_0"]
    for kv_type in kv_types:
        with open_tiny("long") as model, model.session(1024, kv_type=kv_type) as session:
            session.sync(LONG[:200])
            fork = session.fork()
            early = session.fork(100)
            assert session.kv_pages == fork.kv_pages == (4, 4)
            assert early.kv_pages == (2, 2)
            early.append(LONG[100:200])
            assert logits_of(early) == logits_of(fork) == logits_of(session)
            fork.append([7])
            assert (session.kv_pages, fork.kv_pages) == ((4, 3), (4, 3))
            session.close()
            early.append([7])
            assert logits_of(early) == logits_of(fork)
            assert early.save() == fork.save()
            fork.cancel()
            with raises(gemel.CancelledError):
                fork.append([8])
            early.append([8])
            found.append([fork.kv_type, early.kv_pages, logits_of(early)])
    assert len({one[2] for one in found}) == 3
    return found


async def a_step_draws_for_many_sessions() -> Result:
    with open_tiny() as model:
        prompts = [list(range(5, 5 + n)) for n in (1, 30, 12)]
        fields: list[dict[str, Any]] = [{"temperature": 0}, {"seed": 4}, {"seed": 5, "temperature": 1.5}]
        wanted = []
        for prompt, one in zip(prompts, fields, strict=True):
            generation = model.generate(prompt, max_tokens=10, penalty_last_n=0, **one)
            generation.read()
            wanted.append(generation.ids)
        sessions, samplers = [model.session() for _ in prompts], [model.sampler(**one) for one in fields]
        ids: list[list[int]] = [[] for _ in prompts]
        texts = [b"" for _ in prompts]
        following = prompts
        for _ in range(10):
            drawn = model.step(sessions, following, samplers)
            assert [one.error for one in drawn] == [None] * 3
            following = [[one.id] for one in drawn if one.id is not None]
            ids = [[*a, *b] for a, b in zip(ids, following, strict=True)]
            texts = [a + one.text for a, one in zip(texts, drawn, strict=True)]
        for mine, theirs in zip(ids, wanted, strict=True):
            assert mine[: len(theirs)] == theirs   # a generation ends at EOS, a step goes on
        sessions[1].cancel()
        outcomes = [type(one.error).__name__ for one in model.step(sessions, following, logits=True)]
        assert outcomes == ["NoneType", "CancelledError", "NoneType"]
        with raises(gemel.ArgumentError, "none may appear twice"):
            model.step(sessions[:1] * 2, [[1], [1]])
        for sampler in samplers:
            sampler.close()
        return [ids, [text.hex() for text in texts], [logits_of(one) for one in sessions]]


async def embeddings_and_single_layers_are_the_same_pass() -> Result:
    with open_tiny("long") as model:
        numbers = array("f", [((7 * i) % 101 - 50) / 64 for i in range(150 * model.n_embd)])
        rows = memoryview(numbers).cast("B").cast("f", (150, model.n_embd))
        with model.session(256) as session, model.session(256) as parts:
            session.append_rows(rows)
            for start, end in ((0, 1), (1, 140), (140, 150)):
                some = memoryview(numbers[start * model.n_embd : end * model.n_embd])
                parts.append_rows(some.cast("B").cast("f", (end - start, model.n_embd)))
            assert (session.ids, logits_of(session)) == ([-1] * 150, logits_of(parts))
            logits = logits_of(session)
        with model.session(256) as whole:
            after = digest(memoryview(whole.layers(rows, 0, model.n_layer)).cast("B"))
        passed: Any = rows
        for il in range(model.n_layer):
            with model.session(256) as one:
                passed = one.layers(passed, il, il + 1)
        assert digest(memoryview(passed).cast("B")) == after
        with model.session(100) as short, raises(gemel.ContextError, "150"):
            short.append_rows(rows)
        return [logits, after]


async def the_memory_of_a_model_is_planned() -> Result:
    kv_types: list[Any] = ["f32", "f16", "q8_0", None]
    found = []
    with open_tiny("long") as model:
        for kv_type in kv_types:
            plan = gemel.plan(file("long"), n_ctx=1000, kv_type=kv_type)
            with model.session(1000, kv_type=kv_type) as session:
                assert (plan.weights, plan.cache) == (model.weight_size, 1024 * session.kv_size)
            found.append([plan.weights, plan.cache, plan.kv_type])
            with raises(gemel.OutOfMemoryError, "no context would fit"):
                gemel.plan(file("long"), n_ctx=1000, kv_type=kv_type, memory=1000)
            assert gemel.plan(file("long"), n_ctx=1000, kv_type=kv_type, memory=plan.total) == plan
    with raises(gemel.UnsupportedError, "abacus"):
        gemel.plan(file("abacus"), n_ctx=64)
    return found


async def scores_and_embeddings() -> Result:
    with open_tiny() as model:
        scores = model.score(PROMPT)
        assert all(score < 0 for score in scores)
        one = model.embed(PROMPT)
        many = model.embed([PROMPT, "another"], "last", normalize=False)
        assert tuple(many.shape) == (2, model.n_embd)
        with model.session() as session:
            hidden = session.hidden([5, 6, 7])
        return [[score.hex() for score in scores], *(digest(memoryview(x).cast("B")) for x in (one, many, hidden))]


async def a_prompt_is_evaluated_while_the_model_loads() -> Result:
    with await gemel.open_async(file("chat"), prompt=PROMPT) as model:
        ahead = model.generate(PROMPT, max_tokens=12, temperature=0)
        text = ahead.read()
        plain = model.generate(PROMPT, max_tokens=12, temperature=0)
        assert plain.read() == text
        assert (ahead.timings.n_evaluated, plain.timings.n_evaluated) == (0, len(plain.prompt_ids))
    messages = [{"role": "user", "content": "Why?"}]
    with await gemel.open_async(file("chat"), prompt=messages) as model, model.chat() as chat:
        answer = chat.send("Why?", max_tokens=6, temperature=0)
        answer.read()
        assert answer.timings.n_evaluated == 0
    return [text, answer.text]


# ---- Errors and ends ------------------------------------------------------------------------------------------------


async def a_bad_file_is_an_error_that_says_where() -> Result:
    raw = file("chat").read_bytes()
    bad: list[tuple[type[Exception], str, bytes]] = [
        (gemel.FormatError, "offset 0", b""),
        (gemel.FormatError, "offset 0", b"not a model at all, though long enough to look at"),
        (gemel.FormatError, "offset", raw[:300]),
        (gemel.FormatError, "", raw[:-1000]),
        (gemel.FormatError, "offset", raw[:16] + b"\xff" * 8 + raw[24:]),
    ]
    said = []
    for kind, match, data in bad:
        with raises(kind, match):
            gemel.open(data)
        try:
            await gemel.open_async(data)
        except kind as error:
            said.append(str(error))
    with raises(gemel.UnsupportedError, "abacus"):
        gemel.open(file("abacus"))
    with raises(gemel.SourceError, "nothing.gguf"):
        gemel.open(FOLDER / "nothing.gguf")
    return said


async def what_does_not_fit_is_an_error() -> Result:
    with open_tiny() as model, model.session(n_ctx=16) as session:
        with raises(gemel.ContextError, "n_ctx is 16"):
            session.sync(list(range(3, 20)))
        assert session.n_past == 0
        with raises(gemel.ContextError, "17 tokens"):
            session.generate(list(range(3, 20)), max_tokens=1)
        with raises(gemel.ArgumentError, "n_ctx"):
            model.session(n_ctx=model.n_ctx + 1)
        with raises(gemel.ArgumentError, "temperature"):
            model.generate(PROMPT, temperature=-1)
        with raises(TypeError, "did you mean"):
            model.generate(PROMPT, temprature=1.0)   # type: ignore[call-arg]
        with raises(gemel.ArgumentError, "id"):
            session.sync([model.n_vocab])
        with raises(gemel.ArgumentError):
            session.logits()
        with raises(gemel.ArgumentError, "empty"):
            model.generate([])
    return "refused"


async def closing_a_model_closes_its_sessions() -> Result:
    model = open_tiny()
    session = model.session()
    session.sync([5, 6])
    generation = model.generate(PROMPT, temperature=0)
    next(generation)
    model.close()
    model.close()
    assert model.closed
    assert session.closed
    for act in (lambda: session.sync([5]), lambda: model.tokenize("x"), lambda: model.generate(PROMPT)):
        with raises(gemel.ArgumentError, "closed"):
            act()
    with raises(gemel.GemelError):
        generation.read()
    return "closed"


async def a_cancelled_load_leaves_nothing_behind() -> Result:
    begun = asyncio.Event()
    task = asyncio.ensure_future(gemel.open_async(file("long"), on_progress=lambda *_: begun.set()))
    await begun.wait()
    task.cancel()
    with raises(asyncio.CancelledError):
        await task
    with await gemel.open_async(file("long")) as model, model.session() as session:
        session.sync([5, 6])
        return logits_of(session)


# ---- All of them ----------------------------------------------------------------------------------------------------


def cases() -> list[str]:
    """Return the names of the cases, in order."""
    return [
        name
        for name, value in list(globals().items())
        if asyncio.iscoroutinefunction(value) and value.__module__ == __name__ and not name.startswith("_")
    ]
