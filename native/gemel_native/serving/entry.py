"""A model that the server may open, and how: where its file is, what it is called, what it may take."""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gemel
from gemel import KvType, Overrides
from gemel_web.jobs.fim import has_gap
from gemel_web.models import NO_DEFAULTS, Defaults, ServedModel
from gemel_web.registry import Description, Facts, metadata_of

TEMPLATE = "tokenizer.chat_template"
DEFAULT_N_CTX = 4096   # of a model whose file allows as much
SHARE = 8              # of all memory, what the KV caches of a model take: one in so many parts
MOST_CACHE = 2 << 30   # bytes of them, unless one context is larger
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How to open a model and evaluate it; None: the defaults of gemel.open and Model.session."""

    threads: int | None = None
    isa: str | None = None
    ctx: int | None = None
    kv_type: KvType | None = None
    draft: str | bool = True   # as gemel.open takes it
    overrides: Overrides = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model under a name."""

    alias: str
    source: str                      # as gemel.open takes it
    how: ModelOptions
    aliases: tuple[str, ...] = ()    # further names
    defaults: Defaults = NO_DEFAULTS
    keep_alive: float | None = None  # seconds that it stays open without requests; None: until its memory is needed
    created: int = 0                 # seconds since 1970

    @property
    def names(self) -> tuple[str, ...]:
        """All of its names."""
        return (self.alias, *self.aliases)

    def local(self) -> Path | None:
        """Return its (first) file if it is on this machine. Never downloads."""
        path = gemel.cache.path(self.source)
        if path is not None:
            return path
        if is_address(self.source):
            return None
        path = Path(self.source).expanduser()
        return path if path.is_file() else None

    def files(self) -> tuple[Path, ...]:
        """Return all of its files that are on this machine."""
        path = self.local()
        return () if path is None else gemel.model_files(path)


def is_address(source: str) -> bool:
    """Tell whether a MODEL is a short name or an address, which may have to be downloaded, and not a path."""
    return source in gemel.NAMES or source.find("://") > 1 or source.lower().startswith("hf:")


@dataclass(frozen=True)
class Need:
    """Bytes that a model takes while it is open: all of it, and its KV caches alone."""

    total: int
    cache: int


def need_of(entry: Entry, budget: int, cache_memory: int | None) -> Need:
    """Return what a model takes. Only its header is read.

    budget: bytes for all models. Caches take cache_memory; None: a part of the budget, and at least one full context.
    Raises OutOfMemoryError if the budget is too small for this model alone.
    """
    how, path = entry.how, str(entry.local() or entry.source)
    plan = gemel.plan(
        path, n_ctx=_n_ctx(path, how), kv_type=how.kv_type, threads=how.threads, overrides=how.overrides
    )
    plans = [plan] if (draft := _plan_of_draft(how, plan.n_ctx)) is None else [plan, draft]
    one = sum(each.session + each.cache for each in plans)
    fixed = sum(each.total for each in plans) - one
    if fixed + max(one, cache_memory or 0) > budget:
        caches = f"{max(one, cache_memory or 0) / 1e6:,.0f} MB of KV caches"
        raise gemel.OutOfMemoryError(
            f"{entry.alias} needs {fixed / 1e6:,.0f} MB and {caches}, but the models may take {budget / 1e6:,.0f} MB "
            "together: give it less context (--ctx, --cache-memory), or raise --max-memory"
        )
    cache = max(one, min(budget // SHARE, MOST_CACHE, budget - fixed)) if cache_memory is None else cache_memory
    return Need(fixed + cache, cache)


def _plan_of_draft(how: ModelOptions, n_ctx: int) -> gemel.Plan | None:
    """Return what a draft model takes; None: there is none."""
    if isinstance(how.draft, bool) or _is_draft_file(Path(how.draft)):
        return None
    path = str(gemel.cache.path(how.draft) or how.draft)
    with gemel.inspect(path) as header:
        limit = _longest_of(header, ModelOptions())
    return gemel.plan(path, n_ctx=n_ctx if limit is None else min(n_ctx, limit), threads=how.threads)


def _is_draft_file(path: Path) -> bool:
    """Tell whether gemel draft-cache wrote a file, which takes little memory."""
    try:
        with path.expanduser().open("rb") as file:
            return file.read(7) == b"gemelng"
    except (OSError, ValueError, RuntimeError):
        return False


def open_entry(entry: Entry, *, cache: int | None, on_progress: Progress) -> ServedModel:
    """Open a model. cache: bytes that its KV caches may take. Raises GemelError."""
    how = entry.how
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gemel.ModelWarning)   # lists show them
        model = gemel.open(
            str(entry.local() or entry.source), threads=how.threads, isa=how.isa, draft=how.draft,
            overrides=how.overrides, on_progress=on_progress,
        )
    try:
        return served_of(entry, model, cache)
    except BaseException:
        model.close()
        raise


def served_of(entry: Entry, model: gemel.Model, cache: int | None) -> ServedModel:
    """Return an open model as its entry has it served. ArgumentError for a context over the model's."""
    ctx = entry.how.ctx
    if ctx is not None and ctx > model.n_ctx:
        raise gemel.ArgumentError(f"ctx {ctx}: {entry.alias} allows 1 to {model.n_ctx}")
    return ServedModel(
        model, entry.files(), ctx, entry.created, entry.how.kv_type, cache_memory=cache, defaults=entry.defaults
    )


def facts_of(entry: Entry) -> Facts | None:
    """Return what a model's header says; None: it is not on this machine, or can't be read."""
    path = entry.local()
    if path is None:
        return None
    try:
        with gemel.inspect(path) as header:
            sizes, n_params = Counter[str](), 0
            for tensor in header.tensors:
                sizes[tensor.format] += tensor.size
                n = 1
                for n_dim in tensor.shape:
                    n *= n_dim
                n_params += n
            return Facts(
                arch=str(header.metadata.get("general.architecture", "")), n_params=n_params,
                n_ctx=_n_ctx_of(header, entry.how), size=sizes.total(),
                format=max(sizes, key=sizes.__getitem__, default=""),
            )
    except (gemel.GemelError, OSError):
        return None


def description_of(entry: Entry, longest: int | None) -> Description | None:
    """Return what a model's file says; None: it is not on this machine, or can't be read. longest: see metadata_of."""
    path = entry.local()
    if path is None:
        return None
    try:
        with gemel.inspect(path) as header:
            given = entry.how.overrides.get(TEMPLATE)
            template = header.metadata.get(TEMPLATE) if given is None else given
            return Description(
                metadata=metadata_of(header.metadata, longest), infills=has_gap(header.metadata),
                template=template if isinstance(template, str) else "", defaults=entry.defaults,
                reasons=bool(header.dialects(given if isinstance(given, str) else None)[1]),
            )  # fmt: skip
    except (gemel.GemelError, OSError):
        return None


def _n_ctx(path: str, how: ModelOptions) -> int:
    """Return the context with which a model will be served."""
    if how.ctx is not None:
        return how.ctx
    with gemel.inspect(path) as header:
        return _n_ctx_of(header, how)


def _n_ctx_of(header: gemel.Gguf, how: ModelOptions) -> int:
    if how.ctx is not None:
        return how.ctx
    limit = _longest_of(header, how)
    return DEFAULT_N_CTX if limit is None else min(limit, DEFAULT_N_CTX)


def longest_of(entry: Entry) -> int | None:
    """Return the longest context of a model; None: its header can't be read, or does not say it."""
    path = entry.local()
    try:
        if path is not None:
            with gemel.inspect(path) as header:
                return _longest_of(header, entry.how)
    except (gemel.GemelError, OSError):
        pass
    return None


def _longest_of(header: gemel.Gguf, how: ModelOptions) -> int | None:
    key = f"{header.metadata.get('general.architecture')}.context_length"
    limit = how.overrides.get(key, how.overrides.get(".context_length", header.metadata.get(key)))
    return limit if isinstance(limit, int) else None
