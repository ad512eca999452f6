"""What a key may take over time: so many requests or tokens in any window of a length.

A window rolls. It is counted in 60 slots, and a slot counts until the last of it is out of the window, so a limit is
never exceeded in any span of its length.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..http.errors import ApiError

SLOTS = 60
PER = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86_400}
LIMIT = re.compile(rf"([1-9][0-9]{{0,14}})/({'|'.join(PER)})", re.ASCII)


@dataclass(frozen=True)
class Limit:
    """So many in so many seconds."""

    most: int
    seconds: int
    text: str   # as it was written


def limit_of(text: str) -> Limit:
    """Return a limit; raise ValueError for anything else.

    >>> limit_of("60/min").seconds, limit_of("100000/day").most
    (60, 100000)
    """
    found = LIMIT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r:.60} is not a limit: write a number and a time, such as 60/min (of s, min, h, day)")
    return Limit(int(found[1]), PER[found[2]], text)


class Window:
    """How much was taken within the last seconds."""

    def __init__(self, limit: Limit, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._slots: deque[list[int]] = deque()   # of each: its number, how much
        self._taken = 0

    def add(self, n: int) -> None:
        """Count."""
        self._forget()
        number = self._number()
        if not self._slots or self._slots[-1][0] != number:
            self._slots.append([number, 0])
        self._slots[-1][1] += n
        self._taken += n

    @property
    def left(self) -> int:
        """How much is left now."""
        self._forget()
        return max(0, self.limit.most - self._taken)

    def seconds_until(self, left: int) -> float:
        """Return the seconds until so much is left, if nothing more is taken."""
        self._forget()
        taken = self._taken
        for number, n in self._slots:
            if self.limit.most - taken >= left:
                break
            taken -= n
            ends = (number + 1) * self._width + self.limit.seconds
            if self.limit.most - taken >= left:
                return max(0.0, ends - self._clock())
        return 0.0

    @property
    def _width(self) -> float:
        return self.limit.seconds / SLOTS

    def _number(self) -> int:
        return math.floor(self._clock() / self._width)

    def _forget(self) -> None:
        oldest = (self._clock() - self.limit.seconds) / self._width - 1
        while self._slots and self._slots[0][0] <= oldest:
            self._taken -= self._slots.popleft()[1]


class KeyAllowance:
    """The limits of one key. name: of the key, for errors."""

    def __init__(
        self, name: str, requests: Limit | None, tokens: Limit | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._windows = {
            what: Window(limit, clock) for what, limit in (("requests", requests), ("tokens", tokens)) if limit
        }

    def admit(self) -> None:
        """Count a request, or raise the 429. A request that is refused is not counted."""
        self._check("requests")
        if (window := self._windows.get("requests")) is not None:
            window.add(1)

    def check_tokens(self) -> None:
        """Raise the 429 if no token is left."""
        self._check("tokens")

    def charge(self, n_tokens: int) -> None:
        """Count tokens. What was begun is answered to its end, so more may be taken than was left."""
        if (window := self._windows.get("tokens")) is not None and n_tokens > 0:
            window.add(n_tokens)

    def headers(self) -> Mapping[str, str]:
        """Return OpenAI's headers of what is left."""
        found: dict[str, str] = {}
        for what, window in self._windows.items():
            found[f"x-ratelimit-limit-{what}"] = str(window.limit.most)
            found[f"x-ratelimit-remaining-{what}"] = str(window.left)
            found[f"x-ratelimit-reset-{what}"] = duration(window.seconds_until(window.limit.most))
        return found

    def _check(self, what: str) -> None:
        window = self._windows.get(what)
        if window is None or window.left:
            return
        seconds = max(1, math.ceil(window.seconds_until(1)))
        words = f"the key {self._name!r} has taken its {window.limit.text} {what}: try again in {duration(seconds)}"
        code = "rate_limit_exceeded" if what == "requests" else "token_limit_exceeded"
        raise ApiError(429, words, code=code, headers={"Retry-After": str(seconds)})


def duration(seconds: float) -> str:
    """Return a time as OpenAI's headers have it, rounded up.

    >>> duration(0), duration(0.2), duration(61), duration(90000)
    ('0s', '1s', '1m1s', '25h0m0s')
    """
    whole = math.ceil(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{head}{whole % 60}s"
