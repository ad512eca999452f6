"""Type checkers see what calls take: mypy accepts programs as people write them, and refuses misspelt keywords."""

from __future__ import annotations

import inspect
import pydoc
import re
import subprocess
import sys
import typing
from dataclasses import fields
from pathlib import Path

import building
import gemel
import pytest
from conftest import tiny_bytes
from gemel_native.options import field_docs

START = """
from array import array
from typing import Unpack, assert_type
import numpy as np
import gemel
model = gemel.open("model.gguf")
session, chat = model.session(), model.chat("Be brief.", enable_thinking=False)
def shout(prompt: str, **options: Unpack[gemel.CallFields]) -> str:
    return model.generate(prompt, **options).read().upper()
"""
GOOD = (
    'model.generate("x", max_tokens=8, temperature=0.7, seed=1, stop=["a"], logit_bias={3: -1.0})',
    "model.generate([1, 2, 3], max_new_tokens=4, repetition_penalty=1.1)",
    "model.generate(np.array([1, 2, 3]), top_k=np.int32(4), temperature=np.float32(0.5))",
    'model.generate(array("i", [1, 2]), sampling=gemel.Sampling(top_k=3), dry_breakers=["x"])',
    'session.generate("x", n_predict=-1, stop_sequences=None, is_answer=True)',
    'chat.send("x", temperature=0, max_tokens=None)',
    'assert_type(model.ask("x", system="y", min_p=0.1), str)',
    "model.sampler(temperature=0, seed=None)",
    'shout("x", temperature=1)',
    "assert_type(model.score(range(3)), list[float])",
    "session.append_rows(np.zeros((2, model.n_embd), np.float32))",
    "session.append_rows(session.hidden([1, 2]))",
    "print(session.logits().argmax(), memoryview(session.logits()), model.embed('x') @ model.embed('y'))",
    'assert_type(chat.save(), bytes)',
    'chat.save("chat.bin")',
    'assert_type(model.resume_chat("chat.bin"), gemel.Chat)',
    "async def later() -> list[str]:\n    return [piece async for piece in model.generate('x', top_p=0.9)]",
)
BAD = (
    'model.generate("x", temprature=1)',
    'model.generate("x", temperature="0.7")',
    'model.generate("x", max_tokens="3")',
    'model.generate(["x"])',
    "model.generate({1, 2})",
    "model.generate(None)",
    'session.generate("x", n_ctx=8)',
    'chat.send("x", systm="y")',
    'model.ask("x", tempature=1)',
    'model.ask(["x"])',
    "model.sampler(max_tokens=3)",
    'shout("x", top_q=1)',
    'model.session(kv_type="q4")',
    "session.append_rows([[0.5]])",
    "session.sync(5)",
    'gemel.open("x", threads="4")',
)


@pytest.mark.slow
def test_mypy_accepts_good_calls_and_refuses_bad_ones(tmp_path: Path) -> None:
    program = START + "".join(f"{call}\n" for call in (*GOOD, *BAD))
    first_bad = program.count("\n") - len(BAD) + 1
    (tmp_path / "calls.py").write_text(program, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = True\nmypy_path = {building.ROOT / 'pyodide_pkg'}\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(tmp_path / "mypy.ini"), "--no-error-summary"]
    command += ["--cache-dir", str(building.ROOT / "build" / "mypy"), "calls.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    refused = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error: " in line}
    lines = program.splitlines()
    assert [lines[number - 1] for number in sorted(refused)] == list(BAD), done.stdout
    assert min(refused) == first_bad
    assert "temprature" in done.stdout
    assert "temperature" in done.stdout


def test_the_typed_keywords_are_the_fields_of_sampling() -> None:
    names = {field.name for field in fields(gemel.Sampling)}
    assert set(gemel.SamplingFields.__annotations__) == names | {"repetition_penalty"}
    others = {"max_new_tokens", "max_completion_tokens", "n_predict", "stop_sequences"}
    others |= {"grammar", "regex", "choices", "json_schema", "strict", "fast_forward", "close_at_max_tokens"}
    assert set(gemel.CallFields.__annotations__) == names | {"repetition_penalty"} | others


# ---- Names and help --------------------------------------------------------------------------------------------------


def public() -> dict[str, typing.Any]:
    found = {name: getattr(gemel, name) for name in gemel.__all__}
    return {name: value for name, value in found.items() if inspect.isclass(value) or inspect.isfunction(value)}


@pytest.mark.parametrize("name", public())
def test_public_things_are_named_by_how_they_are_imported(name: str) -> None:
    value = public()[name]
    assert (value.__module__, value.__qualname__) == ("gemel", name)
    assert typing.get_type_hints(value) is not None
    if inspect.isfunction(value):
        assert name in inspect.getsource(value).splitlines()[0]
    elif not issubclass(value, BaseException):
        for part, method in vars(value).items():
            if inspect.isfunction(method) and not part.startswith("_"):
                assert part in inspect.getsource(method)
                assert typing.get_type_hints(method) is not None


def test_classes_of_public_modules_are_named_by_them() -> None:
    assert str(gemel.cache.Entry) == "<class 'gemel.cache.Entry'>"
    assert str(gemel.profiling.Profile) == "<class 'gemel.profiling.Profile'>"
    assert gemel.cache.folder.__module__ == "gemel.cache"


def test_dir_is_the_public_api() -> None:
    assert dir(gemel) == sorted(dir(gemel))
    assert {name for name in dir(gemel) if not name.startswith("__")} == set(gemel.__all__) - {"__version__"}
    assert "__version__" in dir(gemel)
    assert gemel.profiling.__name__ == "gemel.profiling"


def attributes(kind: type) -> list[str]:
    """Return the public attributes of a class's objects that are not properties, which have docstrings."""
    if hasattr(kind, "__dataclass_fields__"):
        return [field.name for field in fields(kind)]
    if hasattr(kind, "_fields"):
        return list(kind._fields)
    return []


def documented(kind: type) -> set[str]:
    """Return the names that a class's docstring has a line for."""
    return set(re.findall(r"^ {8}(\w+): \S", kind.__doc__ or "", re.MULTILINE))


def test_help_lists_the_attributes_of_plain_values() -> None:
    kinds = [value for value in public().values() if inspect.isclass(value)]
    kinds += [gemel.cache.Entry, gemel.profiling.Event, gemel.profiling.Limits]
    found = {kind.__name__: sorted(set(attributes(kind)) - documented(kind)) for kind in kinds if attributes(kind)}
    assert len(found) >= 10
    assert {name: lacking for name, lacking in found.items() if lacking} == {}


def test_help_lists_the_attributes_of_objects(model: gemel.Model) -> None:
    with (
        gemel.inspect(tiny_bytes()) as header, model.session() as session, model.chat() as chat,
        model.sampler() as sampler, model.generate("x", max_tokens=1) as generation,
        gemel.profiling.Profile(session) as profile,
    ):   # fmt: skip
        for one in (model, session, chat, sampler, generation, header, profile, gemel.Pace(model)):
            names = {name for name in vars(one) if not name.startswith("_")}
            assert names <= documented(type(one)), type(one).__name__
            help_text = pydoc.plain(pydoc.render_doc(type(one)))
            assert help_text.splitlines()[0].endswith(("in module gemel", "in module gemel.profiling"))
            assert all(f"{name}: " in help_text for name in names)
            for name, value in inspect.getmembers_static(type(one), lambda value: isinstance(value, property)):
                assert name.startswith("_") or value.__doc__, name


def test_ranges_stand_in_docstrings_as_in_the_help_of_the_command() -> None:
    for name, doc in field_docs(gemel.Sampling).items():   # test_cli.py: the command's help begins with it
        assert f"{name}: {doc}" in (gemel.Sampling.__doc__ or "")
