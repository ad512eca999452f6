"""gemel: run GGUF language models on a CPU, with the same bits on a desktop and in a browser tab.

    import gemel
    model = gemel.open("smollm2-135m-instruct")
    for piece in model.generate("Once upon a time", max_tokens=64, temperature=0.7, seed=1):
        print(piece, end="", flush=True)

A model is immutable and shared; a session is one mutable timeline. The names here, gemel.browser, gemel.cache and
gemel.profiling are public; the sub-packages core, source, text, schema, tools, model and tab
are not.
"""

# ruff: noqa: E402
from __future__ import annotations

from .core import packed as _packed

__path__ += _packed.folders()   # before all others are imported

from . import browser, cache, profiling
from ._choice import default_info, include_path, isas, library_path
from ._open import inspect, open, open_async, plan
from .core.abi import ABI
from .core.cpu import default_threads
from .core.errors import (
    AnswerError,
    ArgumentError,
    ArgumentTypeError,
    CancelledError,
    ContextError,
    EngineError,
    FormatError,
    GemelError,
    GrammarError,
    LibraryError,
    ModelWarning,
    NumericError,
    OutOfMemoryError,
    SchemaError,
    SourceError,
    StateError,
    TemplateError,
    ThreadError,
    UnsupportedError,
)
from .core.public import publish as _publish
from .core.slots import ARCHS as ARCHITECTURES
from .dialect.parts import Part, ToolCall
from .model.answer import Timings
from .model.batch.batch import Batch
from .model.batch.future import BatchFuture
from .model.call_types import CallFields, SamplingFields
from .model.chat import Chat
from .model.core_model import Info
from .model.embed import pooled
from .model.generation import Generation
from .model.gguf import Metadata, Tensor
from .model.grammar import Grammar
from .model.header import Gguf
from .model.kv import KV_TYPES, KvType
from .model.memory import Plan, available_memory
from .model.model import Model
from .model.overrides import Override, Overrides, check_overrides
from .model.pace import Pace
from .model.rank import Ranked
from .model.sampler import Sampler
from .model.sampling import Sampling
from .model.session import Session
from .model.step import Drawn
from .model.turn import Turn
from .source.catalog import CATALOG as NAMES
from .source.catalog import Name
from .source.sources import model_files, pull
from .tools.tool import Tool

__all__ = [
    "ABI",
    "ARCHITECTURES",
    "KV_TYPES",
    "NAMES",
    "AnswerError",
    "ArgumentError",
    "ArgumentTypeError",
    "Batch",
    "BatchFuture",
    "CallFields",
    "CancelledError",
    "Chat",
    "ContextError",
    "Drawn",
    "EngineError",
    "FormatError",
    "GemelError",
    "Generation",
    "Gguf",
    "Grammar",
    "GrammarError",
    "Info",
    "KvType",
    "LibraryError",
    "Metadata",
    "Model",
    "ModelWarning",
    "Name",
    "NumericError",
    "OutOfMemoryError",
    "Override",
    "Overrides",
    "Pace",
    "Part",
    "Plan",
    "Ranked",
    "Sampler",
    "Sampling",
    "SamplingFields",
    "SchemaError",
    "Session",
    "SourceError",
    "StateError",
    "TemplateError",
    "Tensor",
    "ThreadError",
    "Timings",
    "Tool",
    "ToolCall",
    "Turn",
    "UnsupportedError",
    "__version__",
    "available_memory",
    "browser",
    "cache",
    "check_overrides",
    "default_info",
    "default_threads",
    "include_path",
    "inspect",
    "isas",
    "library_path",
    "model_files",
    "open",
    "open_async",
    "plan",
    "pooled",
    "profiling",
    "pull",
]


_publish(__name__, __all__)


def __getattr__(name: str) -> str:
    if name == "__version__":   # the core's: reading it loads the library
        from ._choice import version

        return version()
    raise AttributeError(f"module 'gemel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
