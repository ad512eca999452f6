"""What can go wrong, as a tree of exceptions; a table turns the core's codes into them.

Messages say what is wrong, where, and what to do.

    GemelError
    ├── AnswerError (ValueError)         an answer has no value: it ended too early, or is not valid
    ├── ArgumentError (ValueError)       a value is out of range, or something closed was used
    │   └── ArgumentTypeError (TypeError)   a value has the wrong type
    ├── CancelledError                   cancel() was called; what was evaluated is kept
    ├── ContextError (ValueError)        more tokens than n_ctx
    ├── FormatError (ValueError)         the file is malformed; the message names offset, key or tensor
    ├── GrammarError (ValueError)        a grammar is invalid or too large, or no token can follow
    │   └── SchemaError (GrammarError)    a JSON schema is invalid, or has an assertion that can't be enforced
    ├── LibraryError (ImportError)       the compiled core is missing, can't start, or has another version
    │   └── EngineError (LibraryError)   a tab's threaded engine failed: open the model again
    ├── NumericError (ArithmeticError)   a pass met NaN, Inf or a number too large for attention
    ├── OutOfMemoryError (MemoryError)   there is not enough memory
    ├── SourceError (OSError)            no such file, not a file, or a failed download or checksum
    ├── StateError (ValueError)          saved state is damaged or of another model; a session changed meanwhile
    ├── TemplateError (ValueError)       there is no chat template, or it fails
    ├── ThreadError (RuntimeError)       the system could not start a thread
    └── UnsupportedError                 well formed, but not supported

Warnings: ModelWarning (UserWarning), a model that opens goes without something that its file says; StateWarning
(UserWarning), a version of gemel with other bits saved a session, whose ids are evaluated again.
"""

from __future__ import annotations

from . import abi


class GemelError(Exception):
    """The root: every error that gemel raises on purpose, except TypeError for an unknown keyword."""


class AnswerError(GemelError, ValueError):
    """An answer has no value: it ended before it was whole, or is not valid by its schema. Its text is kept."""


class ArgumentError(GemelError, ValueError):
    """A value is out of range, or a model, session or source was used after it was closed."""


class ArgumentTypeError(TypeError, ArgumentError):
    """A value has the wrong type. It is both a TypeError and an ArgumentError."""


class CancelledError(GemelError):
    """The call was cancelled. Ids of finished micro-batches stay in the session."""


class ContextError(GemelError, ValueError):
    """The ids do not fit into n_ctx positions. Nothing was evaluated or truncated."""


class FormatError(GemelError, ValueError):
    """The GGUF file is malformed; the message names the offset, the key or the tensor."""


class GrammarError(GemelError, ValueError):
    """A grammar is invalid (the message names line and column) or too large, or it allows no token here."""


class SchemaError(GrammarError):
    """A JSON schema is invalid, or has an assertion that can't be enforced.

    Attributes:
        path: where, such as "#/properties/a/not"
    """

    def __init__(self, message: str, path: str = "#") -> None:
        super().__init__(message)
        self.path = path


class LibraryError(GemelError, ImportError):
    """The compiled core can't be loaded, or does not match this package."""


class EngineError(LibraryError):
    """A tab's threaded engine failed and its models are lost; the next gemel.open_async starts a new one."""


class NumericError(GemelError, ArithmeticError):
    """The model computed NaN or Inf."""


class OutOfMemoryError(GemelError, MemoryError):
    """The core could not allocate the memory that it needs."""


class SourceError(GemelError, OSError):
    """The model's bytes can't be read: a missing file, a folder, a failed download, a wrong checksum."""


class StateError(GemelError, ValueError):
    """Saved state is damaged or another model's, or a session changed while a generation ran."""


class TemplateError(GemelError, ValueError):
    """The file has no chat template, or the template fails or exceeds a limit."""


class ThreadError(GemelError, RuntimeError):
    """The system could not start a thread."""


class UnsupportedError(GemelError):
    """The file is well formed, but needs an architecture, a tokenizer or a tensor type that gemel does not support."""


class ModelWarning(UserWarning):
    """The model opened, but goes without something that its file says: see Model.warnings."""


class StateWarning(UserWarning):
    """A version of gemel with other bits saved the session: its ids are evaluated again, which takes time."""


for _kind in list(vars().values()):   # tracebacks show the names that users import: gemel.FormatError
    if isinstance(_kind, type) and issubclass(_kind, GemelError | ModelWarning | StateWarning):
        _kind.__module__ = "gemel"

BY_CODE: dict[int, type[GemelError]] = {
    abi.E_ARGUMENT: ArgumentError,
    abi.E_MEMORY: OutOfMemoryError,
    abi.E_FORMAT: FormatError,
    abi.E_UNSUPPORTED: UnsupportedError,
    abi.E_CONTEXT: ContextError,
    abi.E_CANCELLED: CancelledError,
    abi.E_NUMERIC: NumericError,
    abi.E_STATE: StateError,
    abi.E_THREADS: ThreadError,
    abi.E_GRAMMAR: GrammarError,
}

# The message where the core returns a code without a sentence.
MEANING: dict[int, str] = {
    abi.E_ARGUMENT: "a value is out of range",
    abi.E_MEMORY: "not enough memory: close other models, use a smaller n_ctx or a smaller file",
    abi.E_FORMAT: "the file is malformed",
    abi.E_UNSUPPORTED: "this is not supported",
    abi.E_CONTEXT: "more tokens than n_ctx",
    abi.E_CANCELLED: "cancelled; what was evaluated stays in the session",
    abi.E_NUMERIC: "the model computed NaN or Inf: the file is damaged, or its weights overflow",
    abi.E_STATE: "the saved state is damaged or another model's",
    abi.E_THREADS: "the system could not start a thread: use fewer threads",
    abi.E_GRAMMAR: (
        "the grammar allows no token of this vocabulary here, or it reads the answer in more ways than memory and time "
        "allow: make its rules unambiguous"
    ),
}


def counted(n: int, noun: str) -> str:
    """Return a count in words.

    >>> counted(1, "token"), counted(2, "token")
    ('1 token', '2 tokens')
    """
    return f"{n} {noun}{'s' * (n != 1)}"


def error_of(code: int, where: str, sentence: str = "") -> GemelError:
    """Return the exception for a negative code. where: what was being done; sentence: the core's message."""
    kind = BY_CODE.get(code, GemelError)
    return kind(f"{where}: {sentence or MEANING.get(code, f'the core returned {code}')}")
