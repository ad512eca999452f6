"""Drafts: ids that followed an earlier occurrence are evaluated ahead, and nothing except time changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gemel
import numpy as np
import pytest
from conftest import tiny_bytes
from drafting import FEW, FORMS, PROMPT, SAMPLINGS, bits, cut_and_gone_on, drafting, set_draft, with_cache
from gemel.core import abi
from gemel.profiling import Profile

OpenTiny = Callable[..., gemel.Model]


def answered(
    model: gemel.Model, draft: int, prompt: str = PROMPT, n_ctx: int = 256, **options: Any   # noqa: ANN401
) -> tuple[tuple[object, ...], int]:
    """Return everything that an answer leaves; and how many ids were drawn of those evaluated ahead."""
    with drafting(model, draft), model.session(n_ctx) as session:
        answer = session.generate(prompt, **{"seed": 4, "max_tokens": 80, **FEW, **options})
        pieces = list(answer)
        left = pieces, answer.ids, answer.stop_reason, session.ids, bits(session.logits()), session.save()
        assert 0 <= answer.timings.n_accepted <= answer.timings.n_drafted
        assert session.drafted == (answer.timings.n_drafted, answer.timings.n_accepted)
        return left, answer.timings.n_accepted


def same(model: gemel.Model, **options: Any) -> int:   # noqa: ANN401
    """Compare an answer without drafts and with as many as fit; return how many of their ids were drawn."""
    plain, none = answered(model, abi.DRAFT_NONE, **options)
    drafted, n = answered(model, abi.DRAFT_ALWAYS, **options)
    assert none == 0 or options.keys() & {"grammar", "json_schema"}
    assert drafted == plain
    return n


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_answer_is_the_same_with_and_without(model: gemel.Model, form: str, sampling: str) -> None:
    n = same(model, **FORMS[form], **SAMPLINGS[sampling])
    assert n > 0 or form == "grammar" or sampling == "hot"   # there, little is repeated


def test_many_prompts(model: gemel.Model) -> None:
    accepted = 0
    for i in range(60):
        prompt = " ".join(PROMPT.split()[i % 5 : 5 + i % 7]) * (1 + i % 4)
        accepted += same(model, prompt=prompt, seed=i, temperature=i % 3 / 2, max_tokens=1 + i % 40)
    assert accepted > 100


def test_drafts_that_the_times_choose_change_nothing_either(model: gemel.Model) -> None:
    for i in range(4):
        options: dict[str, Any] = {"seed": i, "temperature": i / 4, "max_tokens": 150}
        assert answered(model, abi.DRAFT_FAST, **options)[0] == answered(model, abi.DRAFT_NONE, **options)[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"arch": "gemma3", "n_layer": 3}, {"arch": "deepseek2"}, {"tokenizer": "spm"}, {"arch": "gpt-oss"},
        {"arch": "gemma4", "n_layer": 6, "shared_kv": 3, "window": 20}, {"arch": "qwen3moe"}, {"arch": "llama4"},
        {"arch": "lfm2", "n_layer": 3}, {"arch": "mamba2"}, {"arch": "falcon-h1"}, {"arch": "qwen3next", "n_layer": 3},
        {"arch": "rwkv7"},
    ],
    ids=lambda fields: "-".join(map(str, fields.values())),
)   # fmt: skip
def test_other_models(tiny_model: OpenTiny, fields: dict[str, Any]) -> None:
    accepted = [
        same(tiny_model(**fields), temperature=temperature, max_tokens=60)
        for temperature in (0, 0.5)
    ]
    assert sum(accepted) > 0


@pytest.mark.parametrize("kv_type", ["f32", "f16", "q8_0"])
def test_every_kind_of_cache(model: gemel.Model, kv_type: gemel.KvType) -> None:
    assert with_cache(model, abi.DRAFT_ALWAYS, kv_type, 100) == with_cache(model, abi.DRAFT_NONE, kv_type, 100)


def test_it_never_goes_past_a_limit(model: gemel.Model) -> None:
    n_prompt = len(model.tokenize(PROMPT))
    for n in (1, 2, 7, 16, 17):
        same(model, max_tokens=n, temperature=0)
        same(model, n_ctx=n_prompt + n, temperature=0, max_tokens=n + 1)


def test_sessions_that_are_cut_and_go_on(model: gemel.Model) -> None:
    assert cut_and_gone_on(model, abi.DRAFT_ALWAYS) == cut_and_gone_on(model, abi.DRAFT_NONE)


def test_positions_that_were_given_as_embeddings(model: gemel.Model) -> None:
    rows = np.linspace(-1, 1, 20 * model.n_embd, dtype=np.float32).reshape(20, -1)

    def drawn(draft: int) -> list[object]:
        with drafting(model, draft), model.session(256) as session, model.sampler(temperature=0, **FEW) as sampler:
            session.append_rows(rows)
            ids: list[int] = model.tokenize(PROMPT)
            found: list[object] = []
            for _ in range(40):
                one = model.step([session], [ids], [sampler])[0]
                assert one.id is not None
                ids = [one.id]
                found.append(one[:3])
            return [found, session.save()]

    assert drawn(abi.DRAFT_ALWAYS) == drawn(abi.DRAFT_NONE)


def test_an_answer_beside_strangers_is_the_same(model: gemel.Model) -> None:
    """Also its log-probabilities, which a callback reads in the middle of a step."""

    def together(draft: int) -> tuple[list[object], int]:
        found: list[object] = []

        def log(session: gemel.Session, id: int) -> None:
            found.append((id, session.log_probs([id, 5, 70]), session.likeliest(3)))

        with drafting(model, draft), model.batch(max_running=4) as batch:
            answers = [
                batch.generate(
                    PROMPT + str(i), seed=i, max_tokens=50, on_drawn=log if i == 2 else None,
                    **{**FEW, **[*FORMS.values()][i % 3], **sampling},
                )
                for i, sampling in enumerate(SAMPLINGS.values())
            ]  # fmt: skip
            texts = [answer.read() for answer in answers]
            n = sum(answer.timings.n_accepted for answer in answers)
            return [texts, [(answer.ids, answer.stop_reason) for answer in answers], found], n

    plain, before = together(abi.DRAFT_NONE)   # some text is forced
    drafted, after = together(abi.DRAFT_ALWAYS)
    assert drafted == plain
    assert after > before
    for i, sampling in enumerate(SAMPLINGS.values()):
        alone, _ = answered(
            model, abi.DRAFT_NONE, PROMPT + str(i), seed=i, max_tokens=50, **[*FORMS.values()][i % 3], **sampling
        )
        assert plain[1][i] == alone[1:3]   # type: ignore[index]


def test_a_cancelled_step_evaluates_its_id_later(model: gemel.Model) -> None:
    sampler = model.sampler(temperature=0, **FEW)
    with drafting(model, abi.DRAFT_ALWAYS), model.session(128) as session, sampler:
        ids = model.tokenize(PROMPT)
        for _ in range(30):
            session.cancel()
            assert isinstance(model.step([session], [ids], [sampler])[0].error, gemel.CancelledError)
            one = model.step([session], [ids], [sampler])[0]
            assert one.error is None
            assert one.id is not None
            ids = [one.id]
        assert session.ids == answered(model, abi.DRAFT_NONE, temperature=0, max_tokens=30)[0][3]


def test_they_take_fewer_passes() -> None:
    def passes(draft: int) -> int:
        with drafting(model, draft), model.session(256) as session:
            session.sync(model.tokenize(PROMPT))
            with Profile(session) as profile:
                session.generate(PROMPT, temperature=0, max_tokens=100, **FEW).read()
            return sum(event.operation == "pass" and event.tokens > 0 and event.thread == 0 for event in profile)

    with gemel.open(tiny_bytes(), threads=1) as model:
        assert passes(abi.DRAFT_ALWAYS) < 0.7 * passes(abi.DRAFT_NONE)


def test_they_can_be_switched_off(model: gemel.Model) -> None:
    data = tiny_bytes()
    with gemel.open(data, draft=False) as other, gemel.open(data) as usual:
        assert (usual.draft, other.draft) == (True, False)
        answer = other.generate(PROMPT, temperature=0, max_tokens=100, **FEW)
        answer.read()
        assert (answer.timings.n_drafted, answer.timings.n_accepted) == (0, 0)
        other.draft = True
        assert other.draft
    with pytest.raises(gemel.ArgumentError, match="draft=1"):
        gemel.open(data, draft=1)   # type: ignore[arg-type]
    with pytest.raises(gemel.ArgumentError):
        set_draft(model, 3)


def test_fast_forward_false_evaluates_nothing_ahead(model: gemel.Model) -> None:
    with drafting(model, abi.DRAFT_ALWAYS):
        answer = model.generate(PROMPT, temperature=0, max_tokens=40, fast_forward=False, **FORMS["grammar"])
        answer.read()
    assert answer.timings.n_drafted == 0
