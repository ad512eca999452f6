"""What drafts for a model: nothing, what its context repeats, and beside that a file of n-grams or a smaller model.

The core evaluates drafts and decides how many; this only says to it where they come from.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from ..core import abi
from ..core.checks import flag, shown, wrong_type
from ..core.errors import ArgumentError
from ..core.library import ERROR_SIZE, Handle, check, pointer_at
from .core_model import CoreModel

if TYPE_CHECKING:
    from ..source.saved import Saved

Opened = TypeVar("Opened", bound=CoreModel)

MAGIC = b"gemelng"   # a file of n-grams begins with it
SWITCH = "True, False, an open model, or a file of gemel draft-cache (a path, or its bytes)"
WANTED = "True, False, a model as gemel.open takes it, or a file of gemel draft-cache (a path, or its bytes)"


def is_ngrams(draft: object) -> TypeGuard[Saved]:
    """Tell whether a path or bytes are a file of n-grams. Other values are not."""
    if isinstance(draft, bytes | bytearray | memoryview):
        return bytes(memoryview(draft)[: len(MAGIC)]) == MAGIC
    if not isinstance(draft, str | os.PathLike):
        return False
    try:
        with Path(draft).expanduser().open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError, RuntimeError):
        return False


def check_draft(draft: object) -> None:
    """Raise ArgumentTypeError for what can't be a draft, before anything is downloaded."""
    number = isinstance(draft, int | float) and not isinstance(draft, bool)
    if draft is None or number or isinstance(draft, list | tuple | dict | set):
        raise wrong_type("draft", draft, WANTED)


def use_opened(model: Opened, draft: object, open_draft: Callable[[Any], CoreModel]) -> Opened:
    """Set `draft` of a model that was just opened, and close it if that fails. open_draft: opens a MODEL."""
    with _closed_after_an_error(model):
        _use(model, draft, None if _is_ready(draft) else open_draft(draft))
    return model


async def use_opened_async(
    model: Opened, draft: object, open_draft: Callable[[Any], Awaitable[CoreModel]]
) -> Opened:
    """As use_opened."""
    with _closed_after_an_error(model):
        _use(model, draft, None if _is_ready(draft) else await open_draft(draft))
    return model


@contextmanager
def _closed_after_an_error(model: CoreModel) -> Iterator[None]:
    try:
        yield
    except BaseException:
        model.close()
        raise


def _use(model: CoreModel, draft: object, own: CoreModel | None) -> None:
    """Set `draft`, or the model that was opened as that, which is closed with the other."""
    model._own_draft = own
    set_draft(model, draft if own is None else own)


def _is_ready(draft: object) -> bool:
    return isinstance(draft, bool | CoreModel) or hasattr(draft, "dtype") or is_ngrams(draft)


def set_draft(model: CoreModel, draft: object) -> None:
    """See Model.draft. After an error, all is as it was."""
    if isinstance(draft, CoreModel):
        _draft_by(model, draft)
    elif is_ngrams(draft):
        _draft_from(model, draft)
    elif isinstance(draft, str | os.PathLike | bytes | bytearray | memoryview):
        what = repr(draft) if isinstance(draft, str | os.PathLike) else "these bytes"
        raise ArgumentError(f"draft: {what} is not a file of gemel draft-cache: pass such a file, or an open model")
    elif isinstance(draft, bool) or hasattr(draft, "dtype"):
        draft = flag("draft", draft)
        with model._run_lock:   # no pass uses them
            _forget(model)
    else:
        raise wrong_type("draft", draft, SWITCH)
    with model._handle as address:
        mode = abi.DRAFT_NONE if draft is False else abi.DRAFT_FAST
        check(model._library, model._library.call("gemel_model_set_draft", address, mode), f"draft={shown(draft)}")
    model._draft = draft


def _forget(model: CoreModel) -> None:
    """Draft by no other model and from no file any more. The caller holds the lock of passes."""
    library = model._library
    with model._handle as address:
        check(library, library.call("gemel_model_draft_by", address, None, None, 0), "draft")
        library.call("gemel_model_draft_from", address, None)   # of an encoder, which has none, an error
    if model._drafter is not None:
        model._drafter._drafts_for = None
    model._drafter = None


def _draft_by(model: CoreModel, draft: CoreModel) -> None:
    library = model._library
    if draft._library is not library:
        raise ArgumentError(f"draft: {draft.name} runs on another engine: pass it to gemel.open as draft instead")
    other = draft._drafts_for
    if other is not None and other is not model:
        raise ArgumentError(f"draft: {draft.name} drafts for {other.name} already: open it once more")
    if model._drafts_for is not None or draft._drafter is not None:
        raise ArgumentError(f"draft: {draft.name}: a model that drafts for another has no draft itself")
    error = library.alloc(ERROR_SIZE)
    with model._run_lock, model._handle as address, draft._handle as by:
        code = library.call("gemel_model_draft_by", address, by, error, error.size)
        check(library, code, f"{draft.name} can't draft for {model.name}", error)
        library.call("gemel_model_draft_from", address, None)
        _keep(model, draft._handle)
        if model._drafter is not None:
            model._drafter._drafts_for = None
        model._drafter, draft._drafts_for = draft, model


def _draft_from(model: CoreModel, draft: Saved) -> None:
    from ..source.saved import read_saved

    library, data = model._library, bytes(read_saved(draft, "draft"))
    out, error = library.alloc(8), library.alloc(ERROR_SIZE)
    name = str(draft) if isinstance(draft, str | os.PathLike) else "the draft file"
    with model._run_lock, model._handle as address:
        code = library.call("gemel_ngrams_open", address, library.lend(data), len(data), out, error, error.size)
        check(library, code, name, error)
        ngrams = Handle(library, pointer_at(library, out), "gemel_ngrams_close")
        _keep(model, ngrams)
        ngrams.close()   # with the model
        _forget(model)
        check(library, library.call("gemel_model_draft_from", address, ngrams.address), name)


def _keep(model: CoreModel, handle: Handle) -> None:
    """Keep what drafts until the model is freed: its sessions may use it."""
    if handle not in model._handle._kept:
        model._handle.keep(handle)
