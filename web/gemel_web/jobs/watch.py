"""Who watches jobs, from their submission to their end, such as metrics. Called in the event loop; it may not wait."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import gemel
from starlette.types import Scope

from ..models import ServedModel
from .work import Load, Work


class Watch(Protocol):
    """Takes what happens to jobs. A job is a name for it, no more."""

    def submitted(self, served: ServedModel, job: Hashable, work: Work) -> None:
        """A job waits for its evaluation."""

    def answers(self, scope: Scope, job: Hashable) -> None:
        """A job's events become the response to a request. Called before the first of them."""

    def delivered(self, job: Hashable, item: object) -> None:
        """An event of a job reached its response: an Event, an Exception or the End."""

    def left(self, model: gemel.Model, load: Load) -> None:
        """Nothing more is evaluated for a model, which will be closed."""


class Unwatched:
    """Watches nothing."""

    def submitted(self, served: ServedModel, job: Hashable, work: Work) -> None:
        """Do nothing."""

    def answers(self, scope: Scope, job: Hashable) -> None:
        """Do nothing."""

    def delivered(self, job: Hashable, item: object) -> None:
        """Do nothing."""

    def left(self, model: gemel.Model, load: Load) -> None:
        """Do nothing."""
