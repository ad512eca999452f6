"""Examples of docstrings and pages, run by doctest."""

from __future__ import annotations

import doctest
import re


class Messages(doctest.OutputChecker):
    """Compares messages of errors, and their names without modules."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Return whether an example printed, or raised, what it says."""
        want, got = (re.sub(r"\A(?:\w+\.)+(?=\w+:)", "", text) for text in (want, got))
        return super().check_output(want, got, optionflags)


def run_examples(tests: list[doctest.DocTest]) -> int:
    """Return how many examples ran."""
    runner = doctest.DocTestRunner(checker=Messages())
    for test in tests:
        runner.run(test)
    assert runner.failures == 0
    return runner.tries
