"""MODEL becomes a Model: _desktop.py or tab/opening.py gets the bytes of this host, and model/opening.py loads them.

A tab starts to download before it imports what reads the file, and to import after it has read what was compiled
before, so nothing of gemel is imported here.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model.core_model import PROMPT
    from .model.header import Gguf
    from .model.kv import KvType
    from .model.memory import Plan
    from .model.model import Model
    from .model.overrides import Overrides
    from .source.progress import Progress
    from .source.sources import MODEL


def open(
    model: MODEL,
    *,
    threads: int | None = None,
    isa: str | None = None,
    on_progress: Progress | None = None,
    prompt: PROMPT | None = None,
    cache: bool = True,
    overrides: Overrides | None = None,
    draft: bool | MODEL | Model = True,
) -> Model:
    """Load a GGUF model.

    model: a path, a URL, "hf:owner/repo:Q4_K_M", "hf:owner/repo/file.gguf", a short name (gemel.NAMES), bytes, or an
    open binary file; in a tab also JavaScript's File, Blob, Uint8Array or ArrayBuffer. Any file of a split model opens
    all of them.
    threads: 1..256; default GEMEL_THREADS, or the physical cores this process may use.
    isa: the instruction set (one of gemel.isas()); default GEMEL_ISA, or the best of this CPU.
    Neither threads nor isa changes a bit of any result.
    on_progress(stage, done, total): "download" or "load", in bytes (total is 0 when it is unknown), or "prefill", in
    layers. What it raises ends the loading.
    prompt: a text, ids or messages, evaluated layer by layer while the model loads; a generation that begins with it
    continues from there. The bits are the same.
    cache=False: don't keep what is downloaded.
    overrides: values of metadata keys that replace the file's, {"llama.rope.freq_base": 5e5}, checked as those are. A
    key that begins with a dot is prefixed with the architecture's name. ArgumentError for a key that nothing reads.
    draft: what generations evaluate ahead where that is faster: True, what the context repeats; False, nothing; beside
    repeats a smaller model of the same vocabulary, in any form that `model` may have or open, or a file of
    gemel draft-cache. See Model.draft.

    SourceError when the bytes can't be read, FormatError when they are malformed, UnsupportedError when gemel does not
    support the model.
    """
    _check_draft(draft)
    if sys.platform == "emscripten":
        from .tab.opening import open_in_tab as open_here
    else:
        from ._desktop import open_on_desktop as open_here

    opened = open_here(
        model, threads=threads, isa=isa, on_progress=on_progress, prompt=prompt, cache=cache, overrides=overrides
    )
    if draft is True:
        return opened
    from .model.drafting import use_opened

    if sys.platform == "emscripten":
        from .tab.draft_file import with_bytes

        draft = with_bytes(draft)
    return use_opened(
        opened, draft, lambda of: open(of, threads=threads, isa=isa, on_progress=on_progress, cache=cache)
    )


async def open_async(
    model: MODEL,
    *,
    threads: int | None = None,
    isa: str | None = None,
    on_progress: Progress | None = None,
    prompt: PROMPT | None = None,
    cache: bool = True,
    overrides: Overrides | None = None,
    draft: bool | MODEL | Model = True,
) -> Model:
    """As open, and let the event loop run after each piece; a download runs in a thread where there are threads.

    Cancelling the task ends the loading and frees its memory.
    """
    if sys.platform == "emscripten":
        from .tab import kept_code

        await kept_code.restore()
        from .tab.opening import open_in_tab_async as open_here
    else:
        from ._desktop import open_on_desktop_async as open_here
    _check_draft(draft)

    opened = await open_here(
        model, threads=threads, isa=isa, on_progress=on_progress, prompt=prompt, cache=cache, overrides=overrides
    )
    if draft is True:
        return opened
    from .model.drafting import use_opened_async

    if sys.platform == "emscripten":
        from .tab.draft_file import with_bytes_async

        draft = await with_bytes_async(draft)
    return await use_opened_async(
        opened, draft, lambda of: open_async(of, threads=threads, isa=isa, on_progress=on_progress, cache=cache)
    )


def _check_draft(draft: object) -> None:
    """Refuse what can't be a draft before anything is downloaded."""
    if not isinstance(draft, bool | str):
        from .model.drafting import check_draft

        check_draft(draft)


def inspect(model: MODEL, *, on_progress: Progress | None = None) -> Gguf:
    """Read only a file's header: version, metadata, tensor table. Any architecture; no weights are loaded."""
    if sys.platform == "emscripten":
        from .tab.opening import inspect_in_tab as inspect_here
    else:
        from ._desktop import inspect_on_desktop as inspect_here

    return inspect_here(model, on_progress=on_progress)


def plan(
    model: MODEL,
    *,
    n_ctx: int,
    kv_type: KvType | None = None,
    threads: int | None = None,
    memory: int | None = None,
    on_progress: Progress | None = None,
    overrides: Overrides | None = None,
) -> Plan:
    """Return the memory that a model and a session of `n_ctx` positions need; no weights are read.

    memory: the bytes available; if they are too few, OutOfMemoryError says both numbers and what would fit.
    overrides: as for open.
    """
    from ._choice import load
    from .core.cpu import pick_threads
    from .model.overrides import check_overrides
    from .source.removal import advised

    given = check_overrides(overrides)
    with inspect(model, on_progress=on_progress) as header:
        n_threads = pick_threads(threads, load())
        with advised(model):
            found = header.plan(n_ctx=n_ctx, kv_type=kv_type, threads=n_threads, overrides=given)
    if memory is not None:
        found.check(memory)
    return found
