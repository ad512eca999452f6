"""Forced text is evaluated ahead, and nothing except time changes: ids, random numbers, logits, texts, saved states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gemel
import pytest
from conftest import tiny_bytes
from drafting import drafting
from gemel.core import abi
from gemel.core.library import check
from gemel.model.batch.batch import Batch
from gemel.profiling import Profile

OpenTiny = Callable[..., gemel.Model]
SCHEMA = {
    "type": "object",
    "properties": {
        "the name": {"type": "string", "maxLength": 4}, "other": {"type": "boolean"},
        "there": {"enum": ["there is one", "there are two"]},
    },
    "required": ["the name", "other", "there"],
    "additionalProperties": False,
}  # fmt: skip
FORMS: dict[str, dict[str, Any]] = {
    "schema": {"json_schema": SCHEMA},
    "grammar": {"grammar": 'root ::= ("there, " [a-c] " is another: " | "the rest is é€😀 " <[70]>){3}'},
    "choices": {"choices": ["the other one", "the other two", "there"]},
    "regex": {"regex": "(the [a-z]{2} there ){2,9}"},
    "free": {"grammar": "root ::= [a-z ]*"},
}
SAMPLINGS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "hot": {"temperature": 2, "top_k": 0, "top_p": 1, "min_p": 0},
    "narrow": {"temperature": 1, "top_k": 20, "typical_p": 0.9, "xtc_probability": 0.5},
    "penalised": {"temperature": 1, "repeat_penalty": 1.3, "presence_penalty": 0.5, "dry_multiplier": 0.8},
    "biased": {"temperature": 0.7, "logit_bias": {101: 3.0, 116: -2.0}, "frequency_penalty": 0.4},
    "mirostat": {"temperature": 1, "mirostat": 2},
}
TEXT: dict[str, Any] = {"choices": ["the other answer is this one, and another one is there"]}


def bits(values: object) -> bytes:
    return bytes(memoryview(values).cast("B"))   # type: ignore[arg-type]


def answered(model: gemel.Model, prompt: str = "Once the", **options: Any) -> tuple[object, ...]:  # noqa: ANN401
    """Return everything that an answer leaves."""
    with model.session(256) as session:
        answer = session.generate(prompt, **options)
        pieces = list(answer)
        left = session.ids, bits(session.logits()), session.save()
        return pieces, answer.ids, answer.stop_reason, *left


def passes(model: gemel.Model, *, fast_forward: bool, **options: Any) -> int:  # noqa: ANN401
    with drafting(model, abi.DRAFT_ALWAYS), model.session(256) as session:
        session.sync(model.tokenize("Once the"))
        with Profile(session) as profile:
            session.generate("Once the", fast_forward=fast_forward, **options).read()
        return sum(event.operation == "pass" and event.tokens > 0 and event.thread == 0 for event in profile)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_answer_is_the_same_with_and_without(model: gemel.Model, form: str, sampling: str) -> None:
    for seed in (1, 2):
        options: dict[str, Any] = {"max_tokens": 90, "seed": seed, **FORMS[form], **SAMPLINGS[sampling]}
        plain = answered(model, **options, fast_forward=False)
        assert answered(model, **options) == plain
        with drafting(model, abi.DRAFT_ALWAYS):
            assert answered(model, **options) == plain


@pytest.mark.parametrize("n", [1, 2, 5, 9, 17, 30])
def test_it_never_goes_past_a_limit(model: gemel.Model, n: int) -> None:
    limits: list[dict[str, Any]] = [{"max_tokens": n}, {"stop": "answer is this"[:n]}]
    for options in limits:
        options |= {"temperature": 1, "seed": n, **TEXT}
        assert answered(model, **options) == answered(model, **options, fast_forward=False)
    ids = model.tokenize("Once the")
    with model.session(len(ids) + n) as one, model.session(len(ids) + n) as other:   # the context ends in forced text
        full = one.generate(ids, temperature=0, **TEXT), other.generate(ids, temperature=0, fast_forward=False, **TEXT)
        assert (full[0].read(), full[0].ids, full[0].stop_reason) == (full[1].read(), full[1].ids, full[1].stop_reason)
        assert one.save() == other.save()


@pytest.mark.parametrize(
    "fields",
    [{"arch": "gemma3", "n_layer": 3}, {"arch": "deepseek2"}, {"tokenizer": "spm"}, {"arch": "gpt-oss"}],
    ids=lambda fields: "-".join(map(str, fields.values())),
)
def test_other_models(tiny_model: OpenTiny, fields: dict[str, Any]) -> None:
    model = tiny_model(**fields)
    for form in ("schema", "choices"):
        options: dict[str, Any] = {"max_tokens": 70, "temperature": 1, "seed": 5, **FORMS[form]}
        assert answered(model, **options) == answered(model, **options, fast_forward=False)
        if form == "schema":
            assert passes(model, fast_forward=True, **options) < passes(model, fast_forward=False, **options)
        options |= {"is_answer": True}
        assert answered(model, **options) == answered(model, **options, fast_forward=False)


def test_it_takes_fewer_passes() -> None:
    with gemel.open(tiny_bytes(), threads=1) as model:
        for options in (TEXT, {"json_schema": SCHEMA}):
            fast = passes(model, fast_forward=True, temperature=0, max_tokens=100, **options)
            assert fast < 0.7 * passes(model, fast_forward=False, temperature=0, max_tokens=100, **options)


def test_an_answer_beside_strangers_is_the_same(model: gemel.Model) -> None:
    def together(fast_forward: bool) -> list[object]:
        found: list[object] = []

        def log(session: gemel.Session, id: int) -> None:
            found.append((id, session.log_probs([id, 5, 70])))

        with model.batch(max_running=3) as batch:
            answers = [
                batch.generate(
                    f"Once {i} the other", temperature=1, seed=i, max_tokens=60, fast_forward=fast_forward,
                    on_drawn=log if i == 2 else None, **form,
                )
                for i, form in enumerate([*FORMS.values(), {}, TEXT])
            ]  # fmt: skip
            texts = [answer.read() for answer in answers]
        return [texts, [(answer.ids, answer.stop_reason) for answer in answers], found]

    with_it = together(True)
    assert with_it == together(False)
    texts = [answered(model, f"Once {i} the other", temperature=1, seed=i, max_tokens=60, **form)[1:3]
             for i, form in enumerate([*FORMS.values(), {}, TEXT])]
    assert [tuple(one) for one in with_it[1]] == texts   # type: ignore[attr-defined]


def test_a_step_says_that_the_next_one_needs_no_pass(model: gemel.Model) -> None:
    with model.grammar(**TEXT) as grammar, model.session() as session, model.session() as stranger:
        sampler, free = model.sampler(temperature=0, grammar=grammar), model.sampler(temperature=0)
        ids, seen = [model.tokenize("Once"), model.tokenize("A stranger")], []
        for _ in range(12):
            both = model.step([session, stranger], ids, [sampler, free])
            assert [one.error for one in both] == [None, None]
            assert not both[1].is_ready
            seen.append(both[0].is_ready)
            ids = [[one.id] for one in both]   # type: ignore[list-item]
        assert any(seen)
        sampler.close()
        free.close()


def test_forks_and_saved_states_in_the_middle_are_the_same(model: gemel.Model) -> None:
    """After each id: what sampler and session save, and what a fork goes on with."""
    ids = model.tokenize("Once the")

    def walked(fast_forward: bool) -> list[object]:
        found: list[object] = []
        with model.session(128) as session:
            answer = session.generate(ids, temperature=1, seed=3, fast_forward=fast_forward, **TEXT)
            library, sampler = model._library, answer._run.stages.sampler
            while answer.step() is not None and answer.stop_reason is None:
                with sampler.handle as address:
                    out = library.alloc(library.call("gemel_sampler_save_size", address))
                    check(library, library.call("gemel_sampler_save", address, out, out.size), "save")
                found.append((library.read(out.address, out.size), session.save()))
                with session.fork(session.n_past - 1) as fork, session.fork(session.n_past) as other:
                    fork.append([7, 8, 9])
                    other.append([9, 8])
                    found.append((bits(fork.logits()), bits(other.logits()), fork.save()))
        return found

    assert walked(True) == walked(False)


def test_other_ids_than_those_evaluated_ahead_overwrite_them(model: gemel.Model) -> None:
    ids = model.tokenize("Once the")
    with model.grammar(**TEXT) as grammar, model.session(128) as session, model.session(128) as alone:
        sampler = model.sampler(temperature=0, grammar=grammar)
        first = model.step([session], [ids], [sampler])[0]
        assert first.is_ready
        assert first.id is not None
        session.append([5, 6, first.id])
        alone.append([*ids, 5, 6, first.id])
        assert session.save() == alone.save()
        session.truncate(len(ids))
        session.append([first.id])
        alone.truncate(len(ids))
        alone.append([first.id])
        assert session.save() == alone.save()
        sampler.close()


def test_a_cancelled_step_evaluates_its_id_later(model: gemel.Model) -> None:
    with model.grammar(**TEXT) as grammar, model.session(128) as session:
        sampler = model.sampler(temperature=0, grammar=grammar)
        first = model.step([session], [model.tokenize("Once the")], [sampler])[0]
        session.cancel()
        refused = model.step([session], [[first.id]], [sampler])[0]   # type: ignore[list-item]
        assert isinstance(refused.error, gemel.CancelledError)
        again = model.step([session], [[first.id]], [sampler])[0]     # type: ignore[list-item]
        assert again.error is None
        assert again.id is not None
        sampler.close()


def test_the_option_must_be_a_flag_or_none(model: gemel.Model) -> None:
    options = {**TEXT, "seed": 1}
    assert answered(model, fast_forward=None, close_at_max_tokens=None, **options) == answered(model, **options)
    with pytest.raises(TypeError, match=r"fast_forward=1 \(int\): must be True or False"):
        model.generate("a", fast_forward=1, **TEXT)   # type: ignore[arg-type]


def test_steps_of_forced_text_share_a_pass(model: gemel.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    new_pass = Batch._new_pass

    def noted(batch: Batch, parts: Any) -> Any:  # noqa: ANN401
        made.append(parts)
        return new_pass(batch, parts)

    monkeypatch.setattr(Batch, "_new_pass", noted)
    with drafting(model, abi.DRAFT_ALWAYS), model.batch() as batch:
        answer = batch.generate("Once the", temperature=0, **TEXT)
        answer.read()
    assert len(answer.ids) == 37
    assert len(made) < 10
