"""The models of an app by alias: which there are, which are open, and how one is opened that is not.

`Registry` is what the app asks. `OpenModels` answers for models that are open already, as in a tab.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import gemel

from .models import NO_DEFAULTS, Defaults, Models, ServedModel, too_wide

State = Literal["loaded", "loading", "unloaded"]
Drop = Callable[[gemel.Model], Awaitable[None]]
"""Ends what evaluates a model: afterwards it may be closed."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a model that is not open, from its header."""

    arch: str
    n_params: int
    n_ctx: int
    size: int         # bytes of its tensors
    format: str       # of most of them


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the file of a model says, and how it is served."""

    metadata: Mapping[str, Any]   # None in place of long lists
    template: str                 # for chats; "": none
    reasons: bool                 # the template marks reasoning
    infills: bool                 # there are tokens for text between two texts
    defaults: Defaults


@dataclass(frozen=True, kw_only=True)
class Card:
    """A model as lists show it.

    Attributes:
        served: where it is open
        facts: where it is not; None: its file is not on this machine, or can't be read
        progress: of loading, 0 to 1
        memory: bytes that it takes while it is open; None: unknown
        expires: seconds since 1970 at which it will be closed if nobody asks it; None: it stays open
    """

    alias: str
    state: State
    created: int = 0
    served: ServedModel | None = None
    facts: Facts | None = None
    progress: float = 1.0
    memory: int | None = None
    expires: float | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A model as metrics show it. Nothing is read for it.

    Attributes:
        memory: bytes that it takes; 0: it is not open; None: unknown
        n_loads: how often it was opened
        load_seconds: that took in all
        n_unloads: how often it was closed
    """

    alias: str
    state: State
    memory: int | None
    n_loads: int
    load_seconds: float
    n_unloads: int


class Loading(Protocol):
    """A model that is being opened."""

    async def wait(self) -> None:
        """Wait until it is open. Raises an ApiError if it can't be opened."""

    @property
    def served(self) -> ServedModel:
        """The open model, after `wait`."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model that is another one with settings. base: the other one's name."""

    base: str
    defaults: Defaults = NO_DEFAULTS
    n_ctx: int | None = None


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How a model is served, as far as it can change while it is open.

    keep_alive: seconds that it stays open without requests; None: until its memory is needed.
    """

    defaults: Defaults = NO_DEFAULTS
    keep_alive: float | None = None


Report = Callable[[str, int, int], None]
"""Takes what is done now, how many bytes of it, and of how many (0: unknown). Any thread may call it."""


class Shelf(Protocol):
    """Changes the set of models, for good: a process that is killed leaves the state before or after a change."""

    async def pull(self, name: str, report: Report) -> None:
        """Download a model, which is served from then on."""

    async def create(self, name: str, made: Made, report: Report) -> None:
        """Serve a model with settings under a further name."""

    async def copy(self, source: str, target: str) -> None:
        """Serve a model under a further name, whatever happens to the first one."""

    async def delete(self, name: str) -> None:
        """Stop serving a model that was pulled, made or copied, and delete it."""


class Registry(Protocol):
    """All models of an app."""

    @property
    def shelf(self) -> Shelf | None:
        """What changes the set of models; None: it is fixed."""

    def begin(self, drop: Drop) -> None:
        """Take what must end before a model is closed. Called in the event loop, before the first request."""

    async def close(self) -> None:
        """Close the models that it opened."""

    def aliases(self) -> Sequence[str]:
        """Return the names of all models, without those that are only further names of one."""

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Return the files that clients may download, by alias."""

    def find(self, alias: str) -> ServedModel | None:
        """Return a model if it is open. It stays open at least until the event loop runs another task."""

    def loading(self, alias: str) -> AbstractContextManager[Loading]:
        """Begin to open a model that `has` tells of, or join others that wait for it. Inside, it stays open."""

    def has(self, alias: str) -> bool:
        """Tell whether there is a model of a name."""

    @property
    def unloads(self) -> bool:
        """Whether models are closed when nobody needs them."""

    def keep(self, alias: str, seconds: float | None) -> None:
        """Set how long a model stays open that nobody uses; None: as its settings say; below 0: forever."""

    def settings(self, alias: str) -> ModelSettings:
        """Return the settings of a model that `has` tells of."""

    def set(self, alias: str, settings: ModelSettings) -> None:
        """Change them, for requests from now on, where `unloads` is true."""

    def take(self, served: ServedModel) -> None:
        """Keep a model open until it is given back."""

    def give_back(self, served: ServedModel) -> None:
        """Undo one `take`."""

    async def widen(self, served: ServedModel, n_ctx: int) -> None:
        """Let the KV caches of a model hold a context of n_ctx tokens, and others be closed for it.

        Afterwards `find` returns the model with larger caches. Does nothing if it was closed meanwhile. ContextError if
        memory is too small.
        """

    def name_of(self, served: ServedModel) -> str:
        """Return the first name of an open model; "": it is no longer served."""

    def usage(self) -> Sequence[Usage]:
        """Return what all models take now."""

    async def card(self, alias: str) -> Card | None:
        """Return one model by any of its names; None: there is none."""

    async def cards(self) -> list[Card]:
        """Return all models, in order."""

    async def described(self, alias: str, longest: int | None) -> Description | None:
        """Read the header of a model that is not open; None: it can't be read, or is not on this machine.

        longest: items of a list in the metadata that is not left out; None: any.
        """


class OpenModels:
    """Models that their owner opens and closes, in a mapping that may change."""

    unloads = False
    shelf = None

    def __init__(self, models: Models) -> None:
        self._models = models

    def begin(self, drop: Drop) -> None:
        """Do nothing: the owner closes the models."""

    async def close(self) -> None:
        """Do nothing, too."""

    def aliases(self) -> Sequence[str]:
        """Return the keys of the mapping."""
        return list(self._models)

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Return the files of the models."""
        return {alias: served.files for alias, served in self._models.items()}

    def find(self, alias: str) -> ServedModel | None:
        """Return a model unless it is closed."""
        served = self._models.get(alias)
        return None if served is None or served.model.closed else served

    def has(self, alias: str) -> bool:
        """Tell whether a model is open."""
        return self.find(alias) is not None

    @contextmanager
    def loading(self, alias: str) -> Iterator[Loading]:
        """Raise KeyError: what is not open is not there."""
        raise KeyError(alias)
        yield

    def keep(self, alias: str, seconds: float | None) -> None:
        """Do nothing: the owner knows when to close it."""

    def settings(self, alias: str) -> ModelSettings:
        """Return the defaults that the owner set."""
        return ModelSettings(defaults=self._models[alias].defaults)

    def set(self, alias: str, settings: ModelSettings) -> None:
        """Raise an error: the owner sets them."""
        raise NotImplementedError

    def take(self, served: ServedModel) -> None:
        """Do nothing, too."""

    def give_back(self, served: ServedModel) -> None:
        """Do nothing, too."""

    async def widen(self, served: ServedModel, n_ctx: int) -> None:
        """Raise the error: the owner says what caches may take."""
        raise too_wide(n_ctx, served.cache_of(n_ctx), served.cache_memory or 0)

    def name_of(self, served: ServedModel) -> str:
        """Return its key; of those that share a model, the one with the same settings."""
        same = [alias for alias, one in self._models.items() if one.model is served.model]
        return next((alias for alias in same if self._models[alias] is served), same[0] if same else "")

    def usage(self) -> Sequence[Usage]:
        """Return the open models. Only their owner knows what they take, and when they were opened."""
        return [
            Usage(alias=alias, state="loaded", memory=None, n_loads=0, load_seconds=0.0, n_unloads=0)
            for alias in self._models if self.has(alias)
        ]  # fmt: skip

    async def card(self, alias: str) -> Card | None:
        """Return an open model."""
        served = self.find(alias)
        return None if served is None else Card(alias=alias, state="loaded", created=served.created, served=served)

    async def cards(self) -> list[Card]:
        """Return the open models."""
        return [card for alias in list(self._models) if (card := await self.card(alias)) is not None]

    async def described(self, alias: str, longest: int | None) -> None:
        """Return None: all models are open."""


def metadata_of(metadata: gemel.Metadata, longest: int | None) -> dict[str, Any]:
    """Return a file's metadata; None in place of lists that have more items than `longest`."""
    return {
        key: metadata[key] if longest is None or metadata.size_of(key) <= longest else None for key in metadata
    }  # fmt: skip
