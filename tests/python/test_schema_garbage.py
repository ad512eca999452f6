"""While schemas compile, Python does not search for cyclic garbage; afterwards it does, also in a forked child."""

from __future__ import annotations

import gc
import os
import threading

import pytest
from gemel.schema.work import uncollected


def test_the_search_waits_for_the_last_block() -> None:
    assert gc.isenabled()
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_who_switched_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_searches_though_another_threads_block_never_ends_there() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def block() -> None:
        with uncollected():
            begun.set()
            may_end.wait()

    thread = threading.Thread(target=block)
    thread.start()
    begun.wait()
    child = os.fork()
    if not child:
        before = gc.isenabled()
        with uncollected():
            within = gc.isenabled()
        os._exit(0 if before and not within and gc.isenabled() else 1)
    _, status = os.waitpid(child, 0)
    may_end.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert gc.isenabled()
