"""Requests and answers of the routes that manage, as msgspec Structs. Decoding is strict."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

Count = Annotated[int, Meta(ge=1)]


class Named(Struct, forbid_unknown_fields=True, kw_only=True):
    """A model by its name."""

    model: str


class Changed(Struct, forbid_unknown_fields=True, kw_only=True):
    """New settings. What is left out stays; null: the default."""

    keep_alive: float | str | UnsetType | None = UNSET
    max_tokens: Count | UnsetType | None = UNSET
    stop: list[Annotated[str, Meta(max_length=1000)]] | UnsetType | None = UNSET
    system: str | UnsetType | None = UNSET
    sampling: dict[str, Any] | UnsetType | None = UNSET


class Shown(Struct, frozen=True, kw_only=True):
    """The settings of a model."""

    keep_alive: float | None   # seconds; null: until its memory is needed
    max_tokens: int | None
    stop: list[str]
    system: str | None
    sampling: dict[str, Any]


class Model(Struct, frozen=True, kw_only=True):
    """A model as the server has it."""

    id: str
    state: str
    memory: int | None      # bytes, while it is loaded
    expires: float | None   # seconds since 1970
    settings: Shown


class ModelList(Struct, frozen=True):
    """All models."""

    data: list[Model]
