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

import typing as _typing
from importlib import import_module as _import_module

from .core import packed as _packed

_packed.install()   # before all others are imported

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
    StateWarning,
    TemplateError,
    ThreadError,
    UnsupportedError,
)
from .core.public import prepared as _prepared
from .core.public import public as _public

if _typing.TYPE_CHECKING:   # when they are needed: __getattr__
    from . import browser, cache, profiling
    from ._choice import default_info, include_path, isas, library_path
    from ._open import inspect, open, open_async, plan
    from .core.abi import ABI
    from .core.cores import ThreadLimit, thread_limits
    from .core.cpu import default_threads
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

    __version__: str

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
    "StateWarning",
    "TemplateError",
    "Tensor",
    "ThreadError",
    "ThreadLimit",
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
    "thread_limits",
]


_HOMES = {   # where names are defined, as = there
    "._choice": "default_info include_path isas library_path",
    "._open": "inspect open open_async plan",
    ".core.abi": "ABI",
    ".core.cores": "ThreadLimit thread_limits",
    ".core.cpu": "default_threads",
    ".core.slots": "ARCHITECTURES=ARCHS",
    ".dialect.parts": "Part ToolCall",
    ".model.answer": "Timings",
    ".model.batch.batch": "Batch",
    ".model.batch.future": "BatchFuture",
    ".model.call_types": "CallFields SamplingFields",
    ".model.chat": "Chat",
    ".model.core_model": "Info",
    ".model.embed": "pooled",
    ".model.generation": "Generation",
    ".model.gguf": "Metadata Tensor",
    ".model.grammar": "Grammar",
    ".model.header": "Gguf",
    ".model.kv": "KV_TYPES KvType",
    ".model.memory": "Plan available_memory",
    ".model.model": "Model",
    ".model.overrides": "Override Overrides check_overrides",
    ".model.pace": "Pace",
    ".model.rank": "Ranked",
    ".model.sampler": "Sampler",
    ".model.sampling": "Sampling",
    ".model.session": "Session",
    ".model.step": "Drawn",
    ".model.turn": "Turn",
    ".source.catalog": "NAMES=CATALOG Name",
    ".source.sources": "model_files pull",
    ".tools.tool": "Tool",
}
_MODULES = ("browser", "cache", "profiling")
_ORIGINS = {
    name.partition("=")[0]: (module, name.partition("=")[2] or name)
    for module, names in _HOMES.items() for name in names.split()
}   # fmt: skip


if not _typing.TYPE_CHECKING:   # a misspelt name is an error for type checkers, too

    def __getattr__(name: str) -> _typing.Any:  # noqa: ANN401
        """Import what is named for the first time: most programs, and tabs above all, need only a part."""
        if name == "__version__":   # the core's: reading it loads the library
            return _import_module("._choice", __name__).version()
        if name in _MODULES:
            return _import_module(f".{name}", __name__)
        if name not in _ORIGINS:
            raise AttributeError(f"module 'gemel' has no attribute {name!r}")
        module, attribute = _ORIGINS[name]
        globals()[name] = found = _prepared(getattr(_import_module(module, __name__), attribute))
        return found


for _name in __all__:   # those that are imported already: the exceptions
    if _name in globals():
        _prepared(_public(globals()[_name]))


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
