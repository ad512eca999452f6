"""Who watches jobs, from their submission to their end, such as metrics. Called in the event loop; it may not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import gemel
from starlette.types import Scope

from ..models import ServedModel

if TYPE_CHECKING:
    from .scheduler import Driver, Item, Job


class Watch(Protocol):
    """Takes what happens to jobs."""

    def submitted(self, served: ServedModel, job: Job) -> None:
        """A job waits for its evaluation."""

    def answers(self, scope: Scope, job: Job) -> None:
        """A job's events become the response to a request. Called before the first of them."""

    def delivered(self, job: Job, item: Item) -> None:
        """An event of a job reached its response."""

    def left(self, model: gemel.Model, driver: Driver) -> None:
        """Nothing more is evaluated for a model, which will be closed."""


class Unwatched:
    """Watches nothing."""

    def submitted(self, served: ServedModel, job: Job) -> None:
        """Do nothing."""

    def answers(self, scope: Scope, job: Job) -> None:
        """Do nothing."""

    def delivered(self, job: Job, item: Item) -> None:
        """Do nothing."""

    def left(self, model: gemel.Model, driver: Driver) -> None:
        """Do nothing."""
