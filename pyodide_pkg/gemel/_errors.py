"""What can go wrong, as one small tree; the core's codes become exceptions by a table.

Messages say what, where, and what to do.

    GemelError
    ├── ArgumentError (ValueError)       a value out of range; something closed was used
    ├── CancelledError                   cancel() was called; what had been evaluated stays
    ├── ContextError (ValueError)        more tokens than n_ctx
    ├── FormatError (ValueError)         the file is malformed: offset, key or tensor are named
    ├── LibraryError (ImportError)       the compiled core is missing, can't be started, or is of another version
    │   └── EngineError (LibraryError)   a tab's threaded engine failed: open the model again
    ├── NumericError (ArithmeticError)   a pass met NaN, Inf or a number past what attention bears
    ├── OutOfMemoryError (MemoryError)   the allocator said no
    ├── SourceError (OSError)            no such file, not a file, a download or checksum that failed
    ├── StateError (ValueError)          saved state that is damaged or of another model; a session changed meanwhile
    ├── TemplateError (ValueError)       no chat template, or one that fails
    ├── ThreadError (RuntimeError)       the system refused a thread
    └── UnsupportedError                 well formed, but not computed here
"""

from __future__ import annotations

from . import _abi


class GemelError(Exception):
    """The root: every error that gemel raises on purpose, except TypeError for an unknown keyword."""


class ArgumentError(GemelError, ValueError):
    """A value is out of range, or a model, session or source was used after it was closed."""


class CancelledError(GemelError):
    """The call was cancelled. Ids whose micro-batch had ended stay in the session."""


class ContextError(GemelError, ValueError):
    """The ids do not fit into n_ctx positions. Nothing was evaluated and nothing was cut."""


class FormatError(GemelError, ValueError):
    """The GGUF file is malformed; the message names the offset, the key or the tensor."""


class LibraryError(GemelError, ImportError):
    """The compiled core can't be loaded, or does not match this package."""


class EngineError(LibraryError):
    """A tab's threaded engine failed and its models are lost; the next gemel.open_async starts a new one."""


class NumericError(GemelError, ArithmeticError):
    """The model computed NaN or Inf."""


class OutOfMemoryError(GemelError, MemoryError):
    """The core could not allocate what it needs."""


class SourceError(GemelError, OSError):
    """The model's bytes can't be had: a missing file, a folder, a failed download, a wrong checksum."""


class StateError(GemelError, ValueError):
    """Saved state is damaged or of another model, or a session changed under a running generation."""


class TemplateError(GemelError, ValueError):
    """The file has no chat template, or the template fails, or it asks for too much."""


class ThreadError(GemelError, RuntimeError):
    """The system refused to start a thread."""


class UnsupportedError(GemelError):
    """The file is well formed, but names an architecture, a tokenizer or a tensor type that is not computed here."""


BY_CODE: dict[int, type[GemelError]] = {
    _abi.E_ARGUMENT: ArgumentError,
    _abi.E_MEMORY: OutOfMemoryError,
    _abi.E_FORMAT: FormatError,
    _abi.E_UNSUPPORTED: UnsupportedError,
    _abi.E_CONTEXT: ContextError,
    _abi.E_CANCELLED: CancelledError,
    _abi.E_NUMERIC: NumericError,
    _abi.E_STATE: StateError,
    _abi.E_THREADS: ThreadError,
}

# What is said when the core gives a code without a sentence.
MEANING: dict[int, str] = {
    _abi.E_ARGUMENT: "a value is out of range",
    _abi.E_MEMORY: "not enough memory: close other models, use a smaller n_ctx or a smaller file",
    _abi.E_FORMAT: "the file is malformed",
    _abi.E_UNSUPPORTED: "this is not computed here",
    _abi.E_CONTEXT: "more tokens than n_ctx",
    _abi.E_CANCELLED: "cancelled; what had been evaluated stays in the session",
    _abi.E_NUMERIC: "the model computed NaN or Inf: the file is damaged, or its weights overflow",
    _abi.E_STATE: "the saved state is damaged or belongs to another model",
    _abi.E_THREADS: "the system refused to start a thread: use fewer threads",
}


def error_of(code: int, where: str, sentence: str = "") -> GemelError:
    """Return the exception for a negative code. `where` is what was being done, `sentence` the core's own words."""
    kind = BY_CODE.get(code, GemelError)
    return kind(f"{where}: {sentence or MEANING.get(code, f'the core returned {code}')}")
