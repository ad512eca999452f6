"""Which engines there are, the Pythons that have them, and the processes that run them.

An engine is a process that waits for its turn: only one computes at a time. The worker's program is compare_worker.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from compare_cases import Case

PAUSE = 0.1   # seconds between turns: threads of the last engine stop looking for work
WORKER = Path(__file__).with_name("compare_worker.py")
PROBE = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"


@dataclass(frozen=True)
class Engine:
    """One engine in one setting."""

    name: str           # what tables call it
    engine: str         # what compare_worker.py calls it
    variant: str        # its setting
    module: str         # what a Python that has it can import
    package: str        # on PyPI
    without: tuple[str, ...] = ()   # tests that are not for it


LLAMA = ("llama_cpp", "llama-cpp-python")
IK = ("ik_llama_cpp", "ik-llama-cpp-python")
PEERS = (
    Engine("llama.cpp", "llama.cpp", "", *LLAMA),
    Engine("llama.cpp, flash attention", "llama.cpp", "flash attention", *LLAMA),
    Engine("llama.cpp, flash attention, Q8_0 cache", "llama.cpp", "flash attention, Q8_0 cache", *LLAMA, ("open",)),
    Engine("ik_llama.cpp", "ik_llama.cpp", "", *IK),
    Engine("ik_llama.cpp, repacked", "ik_llama.cpp", "repacked", *IK),
    Engine("ik_llama.cpp, Q8_0 cache", "ik_llama.cpp", "Q8_0 cache", *IK, ("open", "sessions")),
    Engine("OpenVINO", "OpenVINO", "", "openvino_genai", "openvino-genai"),
)
GEMEL = Engine("gemel", "gemel", "", "gemel", "gemel")
READING = Engine("gemel, reading alone", "gemel", "reading", "gemel", "gemel", ("open", "prefill", "sessions"))


def gemel_row(isa: str) -> Engine:
    """Return gemel with another instruction set."""
    return Engine(f"gemel, {isa}", "gemel", f"isa={isa}", "gemel", "gemel")


def gemel_cache(kv_type: str) -> Engine:
    """Return gemel with another KV cache."""
    return Engine(f"gemel, {kv_type} cache", "gemel", f"kv_type={kv_type}", "gemel", "gemel", ("open",))


def find(engines: Sequence[Engine], pythons: Sequence[str]) -> tuple[dict[Engine, str], dict[str, str]]:
    """Return the Python of each engine that one of them has, and why the others are missing."""
    modules = sorted({engine.module for engine in engines})
    having = {python: modules_of(python, modules) for python in pythons}
    found: dict[Engine, str] = {}
    missing: dict[str, str] = {}
    for engine in engines:
        python = next((python for python, names in having.items() if engine.module in names), None)
        if python is None:
            missing[engine.name] = f"{engine.package} is in none of the Pythons given"
        else:
            found[engine] = python
    return found, missing


def modules_of(python: str, modules: Sequence[str]) -> list[str]:
    """Return which of the modules a Python can import."""
    if python == sys.executable:
        return [name for name in modules if importlib.util.find_spec(name)]
    try:
        done = subprocess.run([python, "-c", PROBE, *modules], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"--peer-python {python}: can't be run ({error})") from error
    return [name for name in modules if f"'{name}'" in done.stdout]


class EngineError(Exception):
    """An engine's process ended: the last line that it wrote."""


class Child:
    """A process that is asked in lines of JSON and answers in such lines. A context manager, which ends it.

    answers: False: what it prints is no answer, and is kept for last_words().
    """

    def __init__(self, python: str, *arguments: str, answers: bool = True) -> None:
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [python, *arguments], stdin=pipe, stdout=pipe if answers else self._log, stderr=self._log, text=True,
            env=_environment(python),
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ended(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None

    def ask(self, value: object) -> Any:  # noqa: ANN401
        """Return what it answers."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EngineError(self.last_words()) from None
        return self.reply()

    def reply(self) -> Any:  # noqa: ANN401
        """Return what it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EngineError(self.last_words())
        return json.loads(line)

    def last_words(self) -> str:
        """Wait for the end of the process; return what it wrote last, and its code."""
        code = self._process.wait()
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        said = next((line for line in lines if "ASSERT" in line), lines[-1] if lines else "it said nothing")
        return f"{said} (its process ended with {code})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()


class Process(Child):
    """A worker that has the model open."""

    def __init__(self, engine: Engine, python: str, model: Path, threads: int, *mode: str) -> None:
        super().__init__(python, str(WORKER), engine.engine, engine.variant, str(model), str(threads), *mode)
        self.engine = engine
        self.said: Any = None

    def ready(self) -> Any:  # noqa: ANN401
        """Wait until the model is open: the engine's facts, or what opening cost."""
        self.said = self.reply()
        return self.said

    def run(self, case: Case, seed: int) -> float:
        """Return the seconds of a case."""
        seconds = float(self.ask({"case": vars(case), "seed": seed}))
        time.sleep(PAUSE)
        return seconds


def _environment(python: str) -> dict[str, str]:
    """Another Python finds its own packages, this one what this process finds."""
    if python != sys.executable:
        return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def opening(engine: Engine, python: str, model: Path, threads: int) -> dict[str, float]:
    """Open a file that is in the system's cache, in a fresh process: seconds and memory."""
    with model.open("rb") as file:
        while file.read(1 << 24):
            pass
    with Process(engine, python, model, threads, "open") as process:
        return dict(process.ready())


def busy(seconds: float = 1.0) -> float | None:
    """Return the part of the machine's CPU time that others use just now; None where the system does not tell."""
    before = _cpu_times()
    time.sleep(seconds)
    after = _cpu_times()
    if before is None or after is None:
        return None
    used, total = (now - then for now, then in zip(after, before, strict=True))
    return used / max(total, 1)


def _cpu_times() -> tuple[int, int] | None:
    try:
        fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return None
    return sum(fields) - fields[3] - fields[4], sum(fields)   # without idle and iowait
