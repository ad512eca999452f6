"""Windows of limits, by a clock that tests turn."""

from __future__ import annotations

import random

import pytest
from gemel_web.keys.limits import Window, limit_of


class Clock:
    def __init__(self) -> None:
        self.now = 12345.678

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("text", ["", "60", "60/", "/min", "-1/min", "0/min", "1.5/min", "60/week", "6 / min", "١/s"])
def test_what_is_not_a_limit_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a limit"):
        limit_of(text)


@pytest.mark.parametrize("text", ["7/s", "60/min", "100/h", "50/day"])
def test_a_limit_is_never_exceeded_in_any_span_and_all_is_used_again(text: str) -> None:
    clock, numbers, limit = Clock(), random.Random(3), limit_of(text)
    window = Window(limit, clock)
    taken: list[float] = []
    for _ in range(2000):
        clock.now += numbers.random() * limit.seconds / limit.most
        if window.left:
            window.add(1)
            taken.append(clock.now)
    for i, start in enumerate(taken):
        within = sum(start <= one < start + limit.seconds for one in taken[i : i + limit.most + 1])
        assert within <= limit.most
    assert len(taken) > 900
    clock.now += 2 * limit.seconds
    assert window.left == limit.most


def test_the_wait_that_is_said_is_enough_and_hardly_more() -> None:
    clock = Clock()
    window = Window(limit_of("3/min"), clock)
    for _ in range(3):
        window.add(1)
        clock.now += 10
    wait = window.seconds_until(1)
    assert 30 <= wait <= 31
    clock.now += wait - 0.5
    assert window.left in (0, 1)
    clock.now += 0.5
    assert window.left == 1
    assert window.seconds_until(3) > 0
    clock.now += window.seconds_until(3)
    assert window.left == 3


def test_more_than_was_left_may_be_counted_and_counts() -> None:
    clock = Clock()
    window = Window(limit_of("10/h"), clock)
    window.add(25)
    assert window.left == 0
    clock.now += window.seconds_until(1)
    assert window.left == 10
