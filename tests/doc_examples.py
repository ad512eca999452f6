"""Examples of docstrings and pages: those in Python, run by doctest, and those in C."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

C_API = Path(__file__).resolve().parents[1] / "docs" / "c_api.md"


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


def c_examples() -> list[str]:
    """Return the C programs and statements of c_api.md; what has an ellipsis in the place of code is a sketch."""
    blocks = re.findall(r"^ *```c\n(.*?)^ *```$", C_API.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "..." not in block]
