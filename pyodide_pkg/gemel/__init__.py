"""gemel: run GGUF language models on a CPU, with the same bits on a desktop and in a browser tab.

    import gemel
    model = gemel.open("smollm2-135m-instruct")
    for piece in model.generate("Once upon a time", max_tokens=64, temperature=0.7, seed=1):
        print(piece, end="", flush=True)

A model is immutable and shared; a session is one mutable timeline.
"""

from __future__ import annotations

from . import browser, cache
from ._chat import Chat
from ._cpu import default_threads, isas
from ._errors import (
    ArgumentError,
    CancelledError,
    ContextError,
    EngineError,
    FormatError,
    GemelError,
    LibraryError,
    NumericError,
    OutOfMemoryError,
    SourceError,
    StateError,
    TemplateError,
    ThreadError,
    UnsupportedError,
)
from ._generate import Generation, Timings
from ._gguf import Gguf, Metadata, Tensor
from ._library import library_path
from ._memory import Plan
from ._model import Info, Model
from ._names import NAMES, Name
from ._open import inspect, open, open_async, plan
from ._overrides import Overrides
from ._sampling import Sampler, Sampling
from ._session import Session
from ._slots import ARCHS as ARCHITECTURES
from ._source import pull
from ._step import Drawn

__all__ = [
    "ARCHITECTURES",
    "NAMES",
    "ArgumentError",
    "CancelledError",
    "Chat",
    "ContextError",
    "Drawn",
    "EngineError",
    "FormatError",
    "GemelError",
    "Generation",
    "Gguf",
    "Info",
    "LibraryError",
    "Metadata",
    "Model",
    "Name",
    "NumericError",
    "OutOfMemoryError",
    "Overrides",
    "Plan",
    "Sampler",
    "Sampling",
    "Session",
    "SourceError",
    "StateError",
    "TemplateError",
    "Tensor",
    "ThreadError",
    "Timings",
    "UnsupportedError",
    "__version__",
    "browser",
    "cache",
    "default_threads",
    "inspect",
    "isas",
    "library_path",
    "open",
    "open_async",
    "plan",
    "pull",
]


def __getattr__(name: str) -> str:
    if name == "__version__":   # the core's: asked for, it loads the library
        from ._library import version

        return version()
    raise AttributeError(f"module 'gemel' has no attribute {name!r}")
