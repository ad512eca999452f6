"""The public face: what is exported, text to ids and back, generation, sampling options, score and embed."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import inspect
import json
import math
import os
import pkgutil
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import gemel
import numpy as np
import pytest
from conftest import CHATML, tiny_bytes
from doc_examples import run_examples
from gemel.core import cores, errors
from gemel.model.sampling import FIELDS
from gemel.text.stops import StopScanner
from hypothesis import given
from hypothesis import strategies as st

OpenTiny = Callable[..., gemel.Model]
PROMPT = "the quick brown fox"


# ---- The package ----------------------------------------------------------------------------------------------------


MODULES = ("browser", "cache", "profiling")


def test_all_is_sorted_and_complete() -> None:
    assert gemel.__all__ == sorted(gemel.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    for name in gemel.__all__:   # most are imported when they are first named
        getattr(gemel, name)
    public = {
        name for name, value in vars(gemel).items()
        if not name.startswith("_") and not (inspect.ismodule(value) and name not in MODULES) and name != "annotations"
    }
    assert public | {"__version__"} == set(gemel.__all__)


def test_package_is_typed() -> None:
    assert (Path(gemel.__file__).parent / "py.typed").exists()


def test_every_public_thing_has_a_docstring() -> None:
    for name in gemel.__all__:
        value = getattr(gemel, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert value.__doc__, name
            for method_name, method in inspect.getmembers(value):
                if not method_name.startswith("_") and inspect.isfunction(method):
                    assert method.__doc__, f"{name}.{method_name}"


@pytest.mark.parametrize("name", ["gemel", *(found.name for found in pkgutil.walk_packages(gemel.__path__, "gemel."))])
def test_examples_in_docstrings_run(name: str, model: gemel.Model) -> None:
    module = importlib.import_module(name)
    run_examples(doctest.DocTestFinder().find(module, extraglobs={"model": model}))


@pytest.mark.parametrize(("name", "least"), [("python", 15), ("structured", 4), ("tools", 10), ("embeddings", 7)])
def test_examples_in_the_documentation_run(model: gemel.Model, tmp_path: Path, name: str, least: int) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_bytes())
    page = Path(__file__).parents[2] / "docs" / f"{name}.md"
    names = {"gemel": gemel, "model": model, "path": path}
    text = page.read_text(encoding="utf-8")
    assert run_examples([doctest.DocTestParser().get_doctest(text, names, page.name, str(page), 0)]) > least


def test_documentation_draws_the_tree_of_errors() -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    drawn = re.findall(r"[├└]── .*", errors.__doc__ or "")
    assert len(drawn) > 10
    assert all(line in page for line in drawn)


def test_version_is_the_projects() -> None:
    root = Path(__file__).parents[2]
    assert f'\nversion = "{gemel.__version__}"\n' in (root / "pyproject.toml").read_text(encoding="utf-8")


def run_python(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_neither_jinja_nor_numpy_nor_the_core() -> None:
    heavy = ("jinja2", "numpy", "ctypes", "urllib.request")
    assert run_python(f"import gemel, sys; print([name for name in {heavy} if name in sys.modules])").strip() == "[]"


def test_without_numpy_arrays_are_memoryviews_with_the_same_bits(model: gemel.Model, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(tiny_bytes(chat_template=CHATML))
    script = f"""
import sys
for name in ("numpy", "filelock"):
    sys.modules[name] = None
import gemel
with gemel.open({str(tmp_path / "m.gguf")!r}) as model, model.session() as session:
    session.sync([1, 2, 3])
    logits, hidden = session.logits(), session.hidden([4, 5])
    assert isinstance(logits, memoryview) and logits.format == "f" and logits.shape == (model.n_vocab,)
    assert hidden.shape == (2, model.n_embd) and hidden.c_contiguous
    rows = model.embed(["one", "two words"])
    print(logits.tobytes().hex(), hidden.tobytes().hex(), rows.tobytes().hex(), model.embed("x").shape)
"""
    logits, hidden, rows, shape = run_python(script).split(maxsplit=3)
    with model.session() as session:
        session.sync([1, 2, 3])
        assert session.logits().tobytes().hex() == logits
        assert session.hidden([4, 5]).tobytes().hex() == hidden
    assert model.embed(["one", "two words"]).tobytes().hex() == rows
    assert shape.strip() == f"({model.n_embd},)"


# ---- Facts and text -------------------------------------------------------------------------------------------------


def test_model_knows_the_files_facts(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_layer=3, n_head=4, n_head_kv=2, n_embd=64, n_ff=96, n_ctx=512, threads=2, isa="scalar")
    assert (model.n_layer, model.n_head, model.n_head_kv, model.n_embd, model.n_ff) == (3, 4, 2, 64, 96)
    assert (model.head_dim, model.n_rot, model.n_ctx, model.arch) == (16, 16, 512, "llama")
    assert (model.threads, model.isa, model.chat_template) == (2, "scalar", None)
    assert model.n_params == sum(math.prod(tensor.shape) for tensor in model.tensors)
    assert model.metadata["llama.block_count"] == 3
    assert len(model.metadata["tokenizer.ggml.tokens"]) == model.n_vocab   # type: ignore[arg-type]
    assert model.metadata.size_of("tokenizer.ggml.tokens") == model.n_vocab
    assert "nothing" not in model.metadata
    assert model.info == gemel.Info("native", "scalar", 2, model.info.why)
    assert "native" in model.info.why
    assert "3 M" not in repr(model)
    assert "llama" in repr(model)


@pytest.mark.parametrize("tokenizer", ["bpe", "spm"])
@given(text=st.text(max_size=40))
def test_text_comes_back(tokenizer: str, text: str) -> None:
    model = opened(tokenizer)
    if tokenizer == "spm":
        text = text.replace("\u2581", " ")   # SentencePiece writes a space so
    assert model.detokenize(model.tokenize(text)) == text


def opened(tokenizer: str, models: dict[str, gemel.Model] = {}) -> gemel.Model:   # noqa: B006
    if tokenizer not in models:
        models[tokenizer] = gemel.open(tiny_bytes(tokenizer=tokenizer), threads=1)
    return models[tokenizer]


def test_special_tokens_are_parsed_only_when_asked(model: gemel.Model) -> None:
    assert model.bos_id is not None
    text = model.piece(model.bos_id, special=True).decode()
    assert model.tokenize(text, special=True) == [model.bos_id]
    assert model.bos_id not in model.tokenize(text)
    assert model.detokenize([model.bos_id]) == ""
    assert model.detokenize([model.bos_id], special=True) == text
    assert model.piece(model.bos_id) == b""
    assert model.is_control(model.bos_id)
    assert model.eos_id is not None
    assert model.is_eog(model.eos_id)


def test_pieces_are_bytes(model: gemel.Model) -> None:
    ids = model.tokenize("é🙂")
    assert b"".join(map(model.piece, ids)).decode() == "é🙂"


def test_a_long_text_of_one_character_is_no_trouble(model: gemel.Model) -> None:
    ids = model.tokenize("a" * 131072)
    assert model.detokenize(ids) == "a" * 131072


def test_default_threads_are_within_what_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= gemel.default_threads() <= (os.cpu_count() or 1)
    monkeypatch.setattr(cores, "linux_quota", lambda _: gemel.ThreadLimit(1, "a quota"))
    assert gemel.default_threads() == 1
    monkeypatch.setenv("GEMEL_THREADS", "3")
    with gemel.open(tiny_bytes()) as model:
        assert model.threads == 3
    with gemel.open(tiny_bytes(), threads=2) as model:   # the argument comes first
        assert model.threads == 2


# ---- Generation -----------------------------------------------------------------------------------------------------


def test_pieces_are_the_text_and_the_ids_their_source(model: gemel.Model) -> None:
    generation = model.generate(PROMPT, max_tokens=30, temperature=0)
    pieces = list(generation)
    assert "".join(pieces) == generation.text
    assert "" not in pieces
    assert generation.stop_reason in ("length", "eos")
    assert generation.prompt_ids == model._prompt_ids(PROMPT, special=False)
    assert len(generation.ids) == 30 or generation.stop_reason == "eos"
    assert generation.text == model.detokenize(generation.ids)
    timings = generation.timings
    assert timings.n_prompt == timings.n_evaluated == len(generation.prompt_ids)
    assert timings.n_decoded == len(generation.ids) - (generation.stop_reason == "length")
    assert "length" in repr(generation) or "eos" in repr(generation)


def test_greedy_draws_the_likeliest_id_of_a_session(model: gemel.Model) -> None:
    generation = model.generate(PROMPT, max_tokens=5, temperature=0)
    generation.read()
    with model.session() as session:
        ids = list(generation.prompt_ids)
        for drawn in generation.ids:
            session.sync(ids)
            assert int(session.logits().argmax()) == drawn
            ids.append(drawn)


def test_a_seed_repeats_a_run_and_a_drawn_seed_is_reported(model: gemel.Model) -> None:
    first = model.generate(PROMPT, max_tokens=20, temperature=1.5)
    first.read()
    again = model.generate(PROMPT, max_tokens=20, temperature=1.5, seed=first.seed)
    assert again.read() == first.text
    assert again.ids == first.ids
    seeds = {model.generate(PROMPT, max_tokens=1).seed for _ in range(4)}
    assert len(seeds) == 4


def test_whole_text_is_the_same_when_cut_anywhere_by_a_stop_string(model: gemel.Model) -> None:
    text = model.generate(PROMPT, max_tokens=40, temperature=0).read()
    for start in range(0, len(text) - 4, 3):
        stop = text[start : start + 4]
        generation = model.generate(PROMPT, max_tokens=40, temperature=0, stop=[stop, "\0never"])
        shown = "".join(generation)
        assert shown == text[: text.find(stop)]
        assert (generation.stop_reason, generation.stop_string) == ("stop", stop)


@given(
    text=st.text(alphabet="ab", max_size=30),
    stops=st.lists(st.text(alphabet="ab", min_size=1, max_size=5), max_size=3),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
def test_stop_scanner_shows_all_before_the_first_stop_string(text: str, stops: list[str], cuts: list[int]) -> None:
    scanner = StopScanner(stops)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    shown = ""
    for start, end in pairwise(edges):
        shown += scanner.feed(text[start:end])
        held = text[len(shown) : end]
        assert scanner.stopped or not held or any(stop.startswith(held) for stop in stops)
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    if ends:
        first = min(end for end, _ in ends)
        assert scanner.stopped
        assert shown == text[: min(start for end, start in ends if end == first)]
    else:
        assert shown + scanner.flush() == text
        assert not scanner.stopped


def test_stop_strings_are_checked(model: gemel.Model) -> None:
    with pytest.raises(gemel.ArgumentError, match="empty"):
        model.generate(PROMPT, stop="")
    with pytest.raises(TypeError, match="a stop string must be a str"):
        model.generate(PROMPT, stop=[3])   # type: ignore[list-item]


def test_stream_never_shows_part_of_a_character(model: gemel.Model) -> None:
    ids = model.tokenize("🙂é")   # characters that are several ids of one byte each
    only = {i: float("-inf") for i in range(model.n_vocab) if i not in ids}
    sampling = gemel.Sampling(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=3, logit_bias=only)
    generation = model.generate(PROMPT, max_tokens=60, sampling=sampling)
    raw = b""
    text = ""
    for piece in generation:
        piece.encode()
        text += piece
    for id in generation.ids:
        assert id in ids
        raw += model.piece(id)
    assert text == raw.decode("utf-8", "replace")


def test_closing_ends_the_generation(model: gemel.Model) -> None:
    with model.generate(PROMPT, temperature=0) as generation:
        next(generation)
    assert generation.stop_reason == "cancelled"
    assert list(generation) == []
    assert generation._run.session.closed
    generation.close()
    untouched = model.generate(PROMPT)
    untouched.close()
    assert untouched.stop_reason == "cancelled"


def test_another_thread_may_close_a_generation(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_ctx=4096, n_layer=4)
    generation = model.generate([1, 2, 3], temperature=1.0, logit_bias={id: float("-inf") for id in eogs(model)})
    started = threading.Event()

    def consume() -> None:
        for _ in generation:
            started.set()

    thread = threading.Thread(target=consume)
    thread.start()
    started.wait()
    while generation.stop_reason is None:   # closing between two steps of the other thread may need another try
        generation.close()
    thread.join(60)
    assert not thread.is_alive()
    assert generation.stop_reason in ("cancelled", "length")


def eogs(model: gemel.Model) -> list[int]:
    return [id for id in range(model.n_vocab) if model.is_eog(id)]


def test_end_of_generation_id_ends_it_and_is_not_among_the_ids(model: gemel.Model) -> None:
    assert model.eos_id is not None
    others = {id: float("-inf") for id in range(model.n_vocab) if id != model.eos_id}
    generation = model.generate(PROMPT, temperature=0, logit_bias=others)
    assert generation.read() == ""
    assert (generation.stop_reason, generation.ids) == ("eos", [])


def test_generation_fills_n_ctx_and_then_ends_by_length(model: gemel.Model) -> None:
    forbidden = {id: float("-inf") for id in eogs(model)}
    generation = model.generate([1, 2, 3], n_ctx=10, temperature=0, logit_bias=forbidden)
    generation.read()
    assert generation.stop_reason == "length"
    assert len(generation.ids) == 8   # the last one is drawn, not evaluated


def test_a_prompt_that_does_not_fit_is_an_error_before_anything_is_computed(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_ctx=64)
    with pytest.raises(gemel.ContextError, match="n_ctx is 64, but the prompt has 65 tokens: shorten it"):
        model.generate([1] * 65)
    model.generate([1] * 64, max_tokens=1).read()


def test_a_limit_past_the_context_means_until_the_context_is_full(tiny_model: OpenTiny) -> None:
    model = tiny_model(n_ctx=64)
    forbidden = {id: float("-inf") for id in eogs(model)}
    for limit in (100, 32_000, 2**40, -1, None):
        generation = model.generate([1, 2, 3], max_tokens=limit, temperature=0, logit_bias=forbidden)
        generation.read()
        assert (len(generation.ids), generation.stop_reason) == (62, "length")
    larger = tiny_model(n_ctx=8192)
    assert larger.generate([1] * 5000, max_tokens=10)._run.session.n_ctx == 5009
    assert larger.generate([1] * 5000, max_tokens=10_000)._run.session.n_ctx == 8192


@pytest.mark.parametrize("wrong", [0, -2, 1.5, "3", True])
def test_max_tokens_is_checked(model: gemel.Model, wrong: object) -> None:
    with pytest.raises(gemel.ArgumentError, match="max_tokens="):
        model.generate(PROMPT, max_tokens=wrong)   # type: ignore[arg-type]


def test_empty_prompt_is_an_error(tiny_model: OpenTiny) -> None:
    model = tiny_model(kv=[("tokenizer.ggml.add_bos_token", "bool", False)])
    prompts: tuple[str | list[int], ...] = ("", [])
    for empty in prompts:
        with pytest.raises(gemel.ArgumentError, match="prompt is empty"):
            model.generate(empty)


def test_text_begins_with_bos_where_the_file_says_so(tiny_model: OpenTiny) -> None:
    with_bos = tiny_model(kv=[("tokenizer.ggml.add_bos_token", "bool", True)])
    without = tiny_model(kv=[("tokenizer.ggml.add_bos_token", "bool", False)])
    ids = without.generate(PROMPT).prompt_ids
    assert with_bos.generate(PROMPT).prompt_ids == [with_bos.bos_id, *ids]
    assert with_bos.generate(ids).prompt_ids == ids
    assert (with_bos.adds_bos, without.adds_bos) == (True, False)
    with pytest.raises(gemel.ArgumentError, match="no effect on ids"):
        with_bos.generate(ids, special=True)


def test_async_iteration_gives_the_same_text(model: gemel.Model) -> None:
    async def main() -> str:
        return "".join([piece async for piece in model.generate(PROMPT, max_tokens=20, temperature=0)])

    assert asyncio.run(main()) == model.generate(PROMPT, max_tokens=20, temperature=0).read()


def test_session_generation_evaluates_only_what_is_new(model: gemel.Model) -> None:
    with model.session() as session:
        first = session.generate(PROMPT, max_tokens=10, temperature=0)
        first.read()
        more = session.generate(first.prompt_ids + first.ids, max_tokens=10, temperature=0)
        more.read()
        assert more.timings.n_evaluated == 1
        assert not session.closed
    whole = model.generate(PROMPT, max_tokens=20, temperature=0)
    whole.read()
    assert first.ids + more.ids == whole.ids


def test_session_changed_under_a_generation_is_an_error(model: gemel.Model) -> None:
    with model.session() as session:
        generation = session.generate(PROMPT, temperature=0, max_tokens=10)
        next(generation)
        session.append([1])
        with pytest.raises(gemel.StateError, match="changed while a generation ran"):
            generation.read()
        assert generation.stop_reason == "error"


def test_cancelled_session_raises_in_its_generation(model: gemel.Model) -> None:
    with model.session() as session:
        generation = session.generate(PROMPT, temperature=0, max_tokens=10)
        next(generation)
        session.cancel()
        with pytest.raises(gemel.CancelledError):
            generation.read()
        assert session.generate(PROMPT, temperature=0, max_tokens=3).read()


# ---- Sampling -------------------------------------------------------------------------------------------------------


def test_unknown_option_is_a_type_error_that_names_the_nearest(model: gemel.Model) -> None:
    with pytest.raises(TypeError, match="no option 'temprature'; did you mean 'temperature'"):
        model.generate(PROMPT, temprature=1.0)   # type: ignore[call-arg]
    with pytest.raises(TypeError, match="did you mean 'top_k'"):
        gemel.Sampling().with_fields(topk=3)   # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("temperature", -0.1), ("temperature", math.nan), ("temperature", math.inf), ("temperature", "1"),
        ("temperature", True), ("top_k", -(2**31) - 1), ("top_k", 1.0), ("top_k", 2**31), ("top_p", -0.1),
        ("top_p", 1.1), ("min_p", 1), ("min_p", -0.1), ("typical_p", 0), ("repeat_penalty", 0),
        ("frequency_penalty", 2.1), ("presence_penalty", -2.1), ("penalty_last_n", -1),
        ("penalty_last_n", 2**20 + 1), ("dry_multiplier", -1), ("dry_base", 0.9), ("dry_allowed_length", 0),
        ("dry_last_n", -1), ("xtc_probability", 1.1), ("xtc_threshold", 0.6), ("mirostat", 1), ("mirostat", 2.0),
        ("mirostat_tau", 0), ("mirostat_eta", 0), ("seed", -(2**63) - 1), ("seed", 2**64), ("seed", 1.0),
        ("logit_bias", [1]), ("logit_bias", {1: math.inf}), ("logit_bias", {"a": 1}), ("logit_bias", {1: math.nan}),
        ("dry_breakers", "x"), ("dry_breakers", [""]),
    ],
)
def test_option_out_of_range_names_field_value_and_range(field: str, wrong: object) -> None:
    with pytest.raises(gemel.ArgumentError, match=rf"^{field}=.*must (be|map an id)"):
        gemel.Sampling(**{field: wrong})   # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0, "top_p": 0.5}, {"temperature": 0, "mirostat": 2}, {"mirostat": 2, "top_k": 7},
        {"mirostat_tau": 3.0}, {"xtc_threshold": 0.2}, {"dry_base": 2.0}, {"dry_breakers": ["x"]},
        {"penalty_last_n": 5},
    ],
)
def test_option_without_an_effect_is_an_error(options: dict[str, object]) -> None:
    with pytest.raises(gemel.ArgumentError, match="has no effect .*leave it out"):
        gemel.Sampling(**options)   # type: ignore[arg-type]


def test_options_that_switch_off_what_is_off_are_fine() -> None:
    gemel.Sampling(temperature=0, top_k=0, top_p=1.0, min_p=0.0, seed=1)
    gemel.Sampling(mirostat=2, top_p=1, mirostat_tau=3.0)


def test_sampling_object_and_fields_mix(model: gemel.Model) -> None:
    base = gemel.Sampling(temperature=1.2, seed=5)
    assert model.generate(PROMPT, sampling=base, top_k=3).sampling == gemel.Sampling(temperature=1.2, seed=5, top_k=3)
    with pytest.raises(TypeError, match="sampling must be a gemel.Sampling"):
        model.generate(PROMPT, sampling={"top_k": 3})   # type: ignore[arg-type]


def test_sampling_is_frozen_also_inside() -> None:
    bias = {1: 1.0}
    sampling = gemel.Sampling(logit_bias=bias)
    bias[2] = 1.0
    assert sampling.logit_bias == {1: 1.0}


def test_every_option_reaches_the_core_at_the_edges_of_its_range(model: gemel.Model) -> None:
    edges: dict[str, tuple[float, ...]] = {
        "temperature": (0.01, 100.0), "top_k": (0, 1, 2**31 - 1), "top_p": (1e-6, 1), "min_p": (0, 0.999),
        "typical_p": (1e-6, 1), "repeat_penalty": (0.01, 10), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2),
        "dry_multiplier": (0, 5), "xtc_probability": (0, 1), "mirostat": (0, 2),
    }
    for field, values in edges.items():
        for value in values:
            sampling = gemel.Sampling(seed=1).with_fields(**{field: value})   # type: ignore[arg-type]
            model.generate(PROMPT, max_tokens=3, sampling=sampling).read()
    model.generate(PROMPT, max_tokens=3, dry_multiplier=1, dry_base=1, dry_allowed_length=2**20, dry_last_n=0).read()
    model.generate(PROMPT, max_tokens=3, repeat_penalty=2.0, penalty_last_n=2**20).read()
    model.generate(PROMPT, max_tokens=3, mirostat=2, mirostat_tau=0.1, mirostat_eta=5).read()
    assert {*edges, "penalty_last_n", "dry_base", "dry_allowed_length", "dry_last_n", "xtc_threshold"} | {
        "mirostat_tau", "mirostat_eta"
    } == set(FIELDS)


def test_bias_of_an_id_that_is_none_is_an_error(model: gemel.Model) -> None:
    for id in (model.n_vocab, -1, 2**40):
        with pytest.raises(gemel.ArgumentError, match="logit_bias"):
            model.generate(PROMPT, logit_bias={id: 1.0})


def test_penalties_see_the_prompt(model: gemel.Model) -> None:
    likeliest = model.generate([5, 6, 7], max_tokens=1, temperature=0)
    likeliest.read()
    prompt = [likeliest.ids[0], 5, 6, 7] if likeliest.ids else [5, 6, 7]
    plain = model.generate(prompt, max_tokens=1, temperature=0)
    plain.read()
    if plain.ids and plain.ids[0] in prompt:
        fined = model.generate(prompt, max_tokens=1, temperature=0, presence_penalty=2.0, repeat_penalty=100.0)
        fined.read()
        assert fined.ids != plain.ids


def test_breaker_that_is_too_long_is_an_error(model: gemel.Model) -> None:
    with pytest.raises(gemel.ArgumentError, match="1 to 20 are allowed"):
        model.generate(PROMPT, dry_multiplier=1.0, dry_breakers=["q z" * 50])


# ---- Score and embed ------------------------------------------------------------------------------------------------


def test_score_gives_one_number_for_every_token_after_the_first(model: gemel.Model) -> None:
    ids = model.tokenize(PROMPT)
    scores = model.score(ids)
    assert len(scores) == len(ids) - 1
    assert all(score < 0 for score in scores)
    with model.session() as session:
        assert session.score(ids)[0][1:] == scores
    assert model.score(ids[:1]) == []
    with pytest.raises(gemel.ContextError):
        model.score([1] * (model.n_ctx + 1))


def test_embed_pools_and_normalises(model: gemel.Model) -> None:
    ids = model.tokenize(PROMPT, bos_eos=True)
    with model.session() as session:
        rows = session.hidden(ids).astype(np.float64)
    for pooling, row in (("mean", rows.mean(axis=0)), ("first", rows[0]), ("last", rows[-1])):
        plain = model.embed(PROMPT, pooling, normalize=False)   # type: ignore[arg-type]
        assert np.allclose(plain, row, rtol=1e-5, atol=1e-6)
        unit = model.embed(PROMPT, pooling)   # type: ignore[arg-type]
        assert np.allclose(unit, row / np.linalg.norm(row), rtol=1e-5, atol=1e-6)
        assert unit.dtype == np.float32
    many = model.embed([PROMPT, "x"])
    assert many.shape == (2, model.n_embd)
    assert np.array_equal(many[0], model.embed(PROMPT))


def test_embed_checks_what_it_is_given(model: gemel.Model) -> None:
    with pytest.raises(gemel.ArgumentError, match="pooling='max'"):
        model.embed("x", "max")   # type: ignore[arg-type]
    with pytest.raises(gemel.ArgumentError, match="no texts"):
        model.embed([])
    with pytest.raises(TypeError, match="texts"):
        model.embed([3])   # type: ignore[list-item]
    with pytest.raises(gemel.ContextError, match="split it"):
        model.embed("q z " * 2000)


# ---- The real model -------------------------------------------------------------------------------------------------


@pytest.mark.model
def test_real_model_goes_on_sensibly(real_model: gemel.Model) -> None:
    generation = real_model.generate("The capital of France is", max_tokens=8, temperature=0)
    assert "Paris" in generation.read()


@pytest.mark.model
def test_real_model_finds_english_likelier_than_noise(real_model: gemel.Model) -> None:
    english = real_model.score("The cat sat on the mat and looked at the birds outside.")
    noise = real_model.score("Mat the birds at sat looked and outside cat the on the.")
    assert sum(english) / len(english) > sum(noise) / len(noise) + 1


@pytest.mark.model
def test_real_model_embeds_alike_what_means_alike(real_model: gemel.Model) -> None:
    dog, puppy, tax = real_model.embed(["A dog runs.", "A puppy runs.", "Tax law of 1987, section 4."])
    assert float(dog @ puppy) > float(dog @ tax)


def test_facts_are_plain_values_for_json(model: gemel.Model) -> None:
    facts = {name: getattr(model, name) for name in ("n_vocab", "n_ctx", "n_params", "arch", "isa", "threads", "name")}
    assert json.loads(json.dumps(facts)) == facts
