"""A smaller model drafts, or a file of n-grams: nothing except time changes."""

from __future__ import annotations

import gc
import random
import struct
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gemel
import pytest
from command import assert_error, gemel_
from conftest import tiny_bytes
from drafting import FEW, FORMS, PROMPT, SAMPLINGS, bits, cut_and_gone_on, drafting, with_cache
from gemel.core import abi
from gemel.model.ngrams import draft_cache
from vocabulary import bpe_vocabulary

OpenTiny = Callable[..., gemel.Model]
OTHER: dict[str, Any] = {"n_layer": 1, "seed": 7}   # a draft that rarely agrees


@pytest.fixture(scope="module")
def twin() -> Iterator[gemel.Model]:
    """A model whose draft is the same model: it always agrees."""
    with gemel.open(tiny_bytes(), threads=1, draft=tiny_bytes()) as model:
        set_off(model)
        yield model


@pytest.fixture(scope="module")
def pair() -> Iterator[gemel.Model]:
    """A model and a smaller draft."""
    with gemel.open(tiny_bytes(), threads=1, draft=tiny_bytes(**OTHER)) as model:
        set_off(model)
        yield model


def set_off(model: gemel.Model) -> None:
    with drafting(model, abi.DRAFT_NONE):
        pass


def answered(
    model: gemel.Model, draft: int, prompt: str = PROMPT, n_ctx: int = 256, **options: Any   # noqa: ANN401
) -> tuple[tuple[object, ...], tuple[int, int]]:
    """Return everything that an answer leaves; and how many ids the draft model proposed, and how many were drawn."""
    with drafting(model, draft), model.session(n_ctx) as session:
        answer = session.generate(prompt, **{"seed": 4, "max_tokens": 60, **FEW, **options})
        left = list(answer), answer.ids, answer.stop_reason, session.ids, bits(session.logits()), session.save()
        timings = answer.timings
        assert (timings.n_drafted, timings.n_accepted) == session.drafted
        assert timings.n_drafted == sum(n for n, _ in timings.drafts.values())
        return left, timings.drafts.get("model", (0, 0))


def same(model: gemel.Model, **options: Any) -> tuple[int, int]:   # noqa: ANN401
    plain, none = answered(model, abi.DRAFT_NONE, **options)
    drafted, counts = answered(model, abi.DRAFT_ALWAYS, **options)
    assert none == (0, 0)
    assert drafted == plain
    return counts


# ---- The same answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_answer_is_the_same_with_and_without(pair: gemel.Model, form: str, sampling: str) -> None:
    proposed, _ = same(pair, **FORMS[form], **SAMPLINGS[sampling])
    assert proposed > 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_draft_that_agrees_is_always_accepted(twin: gemel.Model, form: str, sampling: str) -> None:
    """It draws with the target's next random numbers, penalties and grammar. At the end of an answer, some are left."""
    proposed, drawn = same(twin, max_tokens=60, **FORMS[form], **SAMPLINGS[sampling])
    assert drawn > 0
    assert proposed - drawn < 15


def test_close_at_max_tokens_and_unique_items(twin: gemel.Model) -> None:
    items = {"enum": ["ta", "te", "eat", "x"]}
    schema = {"type": "array", "uniqueItems": True, "minItems": 2, "maxItems": 4, "items": items}
    for options in (
        {"json_schema": schema}, {"json_schema": schema, "close_at_max_tokens": True},
        {"json_schema": {"type": "array", "items": {"enum": ["ta", "te"]}}, "close_at_max_tokens": True},
    ):  # fmt: skip
        for temperature in (0, 1):
            same(twin, temperature=temperature, max_tokens=40, **options)


@pytest.mark.parametrize("kv_type", ["f32", "f16", "q8_0"])
def test_every_kind_of_cache(pair: gemel.Model, kv_type: gemel.KvType) -> None:
    assert with_cache(pair, abi.DRAFT_ALWAYS, kv_type, 60) == with_cache(pair, abi.DRAFT_NONE, kv_type, 60)


@pytest.mark.parametrize(("fields", "of_draft"), [
    ({"arch": "gemma3", "n_layer": 3}, OTHER), ({"arch": "lfm2", "n_layer": 3}, OTHER),
    ({}, {"arch": "lfm2", "n_layer": 3}), ({"arch": "lfm2", "n_layer": 3}, {"arch": "lfm2", "n_layer": 3}),
    ({}, {"arch": "gemma3", "n_layer": 2, "window": 20}), ({"tokenizer": "spm"}, {"tokenizer": "spm", **OTHER}),
    ({"arch": "qwen3moe"}, OTHER), ({"arch": "gemma4", "n_layer": 6, "shared_kv": 3, "window": 20}, OTHER),
], ids=repr)   # fmt: skip
def test_other_models(tiny_model: OpenTiny, fields: dict[str, Any], of_draft: dict[str, Any]) -> None:
    model = tiny_model(**fields)
    model.draft = tiny_model(**of_draft)
    set_off(model)
    counts = [same(model, temperature=temperature) for temperature in (0, 0.5)]
    assert all(proposed > 0 for proposed, _ in counts)


def test_drafts_that_the_times_choose_change_nothing_either(twin: gemel.Model, pair: gemel.Model) -> None:
    for model in (twin, pair):
        for i in range(3):
            options: dict[str, Any] = {"seed": i, "temperature": i / 3, "max_tokens": 120}
            assert answered(model, abi.DRAFT_FAST, **options)[0] == answered(model, abi.DRAFT_NONE, **options)[0]


def test_it_never_goes_past_a_limit(pair: gemel.Model, tiny_model: OpenTiny) -> None:
    n_prompt = len(pair.tokenize(PROMPT))
    for n in (1, 2, 15, 16, 17):
        same(pair, max_tokens=n, temperature=0)
        same(pair, n_ctx=n_prompt + n, temperature=0, max_tokens=n + 1)
    model = tiny_model()
    model.draft = tiny_model(n_ctx=n_prompt + 20, **OTHER)   # then it proposes nothing
    set_off(model)
    assert 0 < same(model, temperature=0)[0] <= 15 * 20


def test_sessions_that_are_cut_and_go_on(pair: gemel.Model) -> None:
    assert cut_and_gone_on(pair, abi.DRAFT_ALWAYS) == cut_and_gone_on(pair, abi.DRAFT_NONE)


@pytest.mark.parametrize("kind", ["twin", "pair"])
def test_an_answer_beside_strangers_is_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    model: gemel.Model = request.getfixturevalue(kind)

    def together(draft: int) -> tuple[list[object], int]:
        with drafting(model, draft), model.batch(max_running=4) as batch:
            answers = [
                batch.generate(
                    PROMPT + str(i), seed=i, max_tokens=40, **{**FEW, **[*FORMS.values()][i % 3], **sampling}
                )
                for i, sampling in enumerate(SAMPLINGS.values())
            ]
            found: list[object] = [(answer.read(), answer.ids, answer.stop_reason) for answer in answers]
            return found, sum(answer.timings.drafts.get("model", (0, 0))[1] for answer in answers)

    plain, none = together(abi.DRAFT_NONE)
    drafted, n = together(abi.DRAFT_ALWAYS)
    assert drafted == plain
    assert none == 0
    assert n > 0


def saved(sampler: gemel.Sampler) -> bytes:
    library = sampler._library
    with sampler.handle as address:
        block = library.alloc(library.call("gemel_sampler_save_size", address))
        library.call("gemel_sampler_save", address, block, block.size)
        return library.read(block.address, block.size)


def test_a_sampler_that_drafts_saves_the_same_state(pair: gemel.Model) -> None:
    def states(draft: int) -> list[bytes]:
        found = []
        sampling: dict[str, Any] = {"dry_multiplier": 0.8, "repeat_penalty": 1.2, "penalty_last_n": 7, "mirostat": 2}
        with drafting(pair, draft), pair.session(128) as session, pair.sampler(seed=2, **sampling) as sampler:
            ids = pair.tokenize(PROMPT)
            for _ in range(30):
                one = pair.step([session], [ids], [sampler])[0]
                assert one.id is not None
                ids = [one.id]
                found.append(saved(sampler))
        return found

    assert states(abi.DRAFT_ALWAYS) == states(abi.DRAFT_NONE)


# ---- Which models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_model", "n_draft"), [(None, 400), (400, None), (400, 352)])
def test_vocabularies_may_differ_in_padding(tiny_model: OpenTiny, n_model: int | None, n_draft: int | None) -> None:
    model = tiny_model(n_vocab=n_model)
    model.draft = tiny_model(n_vocab=n_draft)
    set_off(model)
    for temperature in (0, 1):
        same(model, temperature=temperature, top_k=0, top_p=1, min_p=0)
    if n_model == 400:   # ids that the draft can't evaluate
        with drafting(model, abi.DRAFT_ALWAYS), model.session(200) as session:
            answer = session.generate([5, 390, 7], max_tokens=9)
            answer.read()
            assert "model" not in answer.timings.drafts


def changed(id: int, text: str) -> bytes:
    """Return a model with another token."""
    found = {key: (key, kind, value) for key, kind, value in bpe_vocabulary()}
    tokens: Any = found["tokenizer.ggml.tokens"][2]
    kv = ("tokenizer.ggml.tokens", "string[]", [*tokens[:id], text, *tokens[id + 1 :]])
    return tiny_bytes(kv=(kv,), **OTHER)


def test_another_vocabulary_is_refused_with_the_token(model: gemel.Model, tiny_model: OpenTiny) -> None:
    differs = pytest.raises(gemel.UnsupportedError, match=r'token 300 is ".*" in the model, but "zq" in the draft')
    with gemel.open(changed(300, "zq"), draft=False) as other, differs:
        model.draft = other
    shorter = tiny_model(n_vocab=model.n_vocab - 3, **OTHER)
    with pytest.raises(gemel.UnsupportedError, match=f"token {model.n_vocab - 3} is .* in the model, but the draft's"):
        model.draft = shorter
    with pytest.raises(gemel.UnsupportedError, match="in the draft, but the model's"):
        shorter.draft = model
    with pytest.raises(gemel.UnsupportedError, match='token 0 is ".*" in the model, but "<unk>"'):
        gemel.open(tiny_bytes(), draft=tiny_bytes(tokenizer="spm"))
    assert model.draft is False
    assert answered(model, abi.DRAFT_ALWAYS)[1] == (0, 0)


def test_models_that_can_not_draft_are_refused(model: gemel.Model, tiny_model: OpenTiny) -> None:
    encoder, draft, third = tiny_model(arch="bert"), tiny_model(**OTHER), tiny_model(**OTHER)
    with pytest.raises(gemel.UnsupportedError, match="the draft is an encoder"):
        model.draft = encoder
    with pytest.raises(gemel.ArgumentError, match="can't draft for itself"):
        model.draft = model
    model.draft = draft
    with pytest.raises(gemel.ArgumentError, match="drafts for .* already"):
        third.draft = draft
    with pytest.raises(gemel.ArgumentError, match="a model that drafts for another has no draft itself"):
        draft.draft = third
    with pytest.raises(gemel.ArgumentError, match="a model that drafts for another has no draft itself"):
        third.draft = model
    with pytest.raises(gemel.ArgumentError, match="set it there, for both"):
        draft.set_threads(2)
    model.set_threads(2)
    assert (model.threads, draft.threads) == (2, 2)
    model.draft = False
    third.draft = draft
    draft.draft   # noqa: B018
    wrong: Any
    for wrong in (1, None, 0.5):
        with pytest.raises(gemel.ArgumentTypeError, match="draft="):
            gemel.open(tiny_bytes(), draft=wrong)
        with pytest.raises(gemel.ArgumentTypeError, match="draft="):
            model.draft = wrong
    with pytest.raises(gemel.ArgumentError, match="not a file of gemel draft-cache"):
        model.draft = "smollm2-135m-instruct"
    with pytest.raises(gemel.SourceError, match="there is no file"):
        gemel.open(tiny_bytes(), draft="no-such-file.gguf")


# ---- Memory and life -------------------------------------------------------------------------------------------------


def test_the_cache_of_the_draft_counts(twin: gemel.Model) -> None:
    with drafting(twin, abi.DRAFT_NONE), twin.session(256) as session:
        session.generate(PROMPT, max_tokens=9, temperature=0, **FEW).read()
        alone = twin.cache_size
    with drafting(twin, abi.DRAFT_ALWAYS), twin.session(256) as session:
        session.generate(PROMPT, max_tokens=9, temperature=0, **FEW).read()
        assert twin.cache_size == 2 * alone
        with session.fork() as fork:
            fork.generate(fork.ids, max_tokens=1, temperature=0).read()
    assert twin.cache_size == 0
    with twin.batch() as batch:
        assert batch._position_size == 2 * batch._kv_size


def test_either_may_be_closed_first() -> None:
    model, draft = (gemel.open(tiny_bytes(), threads=1, draft=False) for _ in range(2))
    model.draft = draft
    session = model.session(128)
    draft.close()
    with drafting(model, abi.DRAFT_ALWAYS):
        answer = session.generate(PROMPT, max_tokens=20, temperature=0)
        answer.read()
        assert answer.timings.drafts["model"][0] > 0
    model.close()
    session.close()
    with gemel.open(tiny_bytes(), threads=1, draft=tiny_bytes()) as model:
        own = weakref.ref(model.draft)
    assert model.closed
    assert own().closed   # type: ignore[union-attr]
    del model, session, draft, answer
    gc.collect()
    assert own() is None


# ---- Files of n-grams ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ngrams(bare: gemel.Model) -> bytes:
    """A file made of what a model answers, so that it is often right."""
    texts = ["Once" + bare.generate("Once", seed=i, max_tokens=60).read() for i in range(3)]
    return bare.draft_cache(texts, least=1)


@pytest.fixture
def filed(bare: gemel.Model, ngrams: bytes) -> Iterator[gemel.Model]:
    bare.draft = ngrams
    set_off(bare)
    yield bare
    bare.draft = False


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_answer_is_the_same_with_a_file(filed: gemel.Model, sampling: str) -> None:
    options = {"prompt": "Once", "max_tokens": 60, "seed": 1, **SAMPLINGS[sampling]}
    plain, _ = answered(filed, abi.DRAFT_NONE, **options)
    assert answered(filed, abi.DRAFT_ALWAYS, **options)[0] == plain
    assert answered(filed, abi.DRAFT_FAST, **options)[0] == plain


def test_what_a_file_proposes_is_drawn(filed: gemel.Model) -> None:
    with drafting(filed, abi.DRAFT_ALWAYS):
        answer = filed.generate("Once", seed=1, max_tokens=60)
        answer.read()
    assert answer.timings.drafts["file"][1] > 10


def test_the_ids_that_follow_most_often_are_kept(bare: gemel.Model) -> None:
    def records(data: bytes) -> list[tuple[int, ...]]:
        return [struct.unpack_from("<4I", data, 32 + 16 * i) for i in range(int.from_bytes(data[16:20], "little"))]

    one, other = bare.tokenize("x"), bare.tokenize("y")
    a, b, c = bare.tokenize("abc")
    found = records(draft_cache(bare, ["abx", "abc", "abc", "abc"]))
    assert [record for record in found if record[:2] == (a, b)] == [(a, b, c, round(255 * (4 + 2) / 8))]
    assert one != other
    assert len(records(draft_cache(bare, ["abcdefgh" * 40, "qrstuvwxyz"], least=1, most=8))) <= 8
    with pytest.raises(gemel.ArgumentError, match="nothing is repeated"):
        bare.draft_cache(["abc"])
    with pytest.raises(gemel.ArgumentTypeError, match="texts="):
        bare.draft_cache("abc")


def test_files_that_are_damaged_are_refused(bare: gemel.Model, ngrams: bytes, tiny_model: OpenTiny) -> None:
    n2 = int.from_bytes(ngrams[16:20], "little")
    assert n2 > 2
    huge, first, second = struct.pack("<I", 1 << 30), ngrams[32:48], ngrams[48:64]
    cases = {
        "another version": ngrams[:7] + b"2" + ngrams[8:], "another vocabulary": ngrams[:8] + bytes(8) + ngrams[16:],
        "truncated or has extra": ngrams[:-1], "says that it has": ngrams[:16] + huge + ngrams[20:],
        "ascending order": ngrams[:32] + second + first + ngrams[64:],
        "an id that doesn't exist": ngrams[:40] + huge + ngrams[44:],
        "a share that is not": ngrams[:44] + huge + ngrams[48:],
    }  # fmt: skip
    for words, data in cases.items():
        with pytest.raises((gemel.FormatError, gemel.UnsupportedError), match=words):
            bare.draft = data
    for n in range(7, len(ngrams), 97):
        with pytest.raises(gemel.FormatError):
            bare.draft = ngrams[:n]
    numbers = random.Random(3)
    for _ in range(300):
        changed = bytearray(ngrams)
        for _ in range(numbers.randrange(1, 4)):
            changed[numbers.randrange(8, len(changed))] = numbers.randrange(256)
        try:
            bare.draft = bytes(changed)
        except (gemel.FormatError, gemel.UnsupportedError):
            continue
        answered(bare, abi.DRAFT_ALWAYS, max_tokens=5)
    bare.draft = False
    padded = tiny_model(n_vocab=400)
    padded.draft = ngrams   # what differs is padding
    with pytest.raises(gemel.UnsupportedError, match="another vocabulary"):
        tiny_model(tokenizer="spm").draft = ngrams
    with pytest.raises(gemel.UnsupportedError, match="encoder"):
        tiny_model(arch="bert").draft_cache(["a"])


def test_the_command_line_makes_and_uses_a_file(file: Path, tmp_path: Path) -> None:
    text, made = tmp_path / "text.txt", tmp_path / "made.ngrams"
    text.write_text(PROMPT * 3)
    done = gemel_("draft-cache", file, text, "-", "-o", made, "--least", "2", stdin=PROMPT)
    assert (done.code, "of 2 texts" in done.err) == (0, True)
    plain = gemel_("run", file, "Once", "-n", "20", "--seed", "1", "--no-draft", "--json").json
    drafted = gemel_("run", file, "Once", "-n", "20", "--seed", "1", "--draft", made, "--json").json
    assert plain["ids"] == drafted["ids"]
    assert plain["speeds"]["drafts"] == {}
    with gemel.open(file, threads=1, draft=str(made)) as model:
        assert model.draft == str(made)
    assert_error(gemel_("draft-cache", file, tmp_path / "none.txt", "-o", made), 1, "none.txt can't be read")
    assert_error(gemel_("run", file, "hi", "--draft", tmp_path / "none.gguf"), 1, "there is no file")
