"""The command line's options that change what a file says: what they become, and what is refused by name."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import gemel
import pytest
import vocabulary
from command import assert_error, gemel_
from gemel_native import overrides as overrides_module


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(vocabulary.TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--override", "x"], ["--override 'x'", "KEY=VALUE", "KEY=TYPE:VALUE"]),
        (["--override", "=1"], ["--override '=1'", "KEY=VALUE"]),
        (["--override", "x=int:1.5"], ["--override 'x=int:1.5'", "'1.5' is not an integer"]),
        (["--override", "x=float:abc"], ["'abc' is not a number"]),
        (["--override", "x=bool:1"], ["'1' is not true or false"]),
        (["--override", "x=float:nan"], ["x is nan: must be a finite number"]),
        (["--override", "x=1e400"], ["x is inf: must be a finite number"]),
        (["--override", "x=9007199254740993"], ["9007199254740993", "2^53"]),
        (["--override", "x=1", "--override", "x=2"], ["--override x", "given twice"]),
        (["--override", ".rope.freq_base=1", "--rope-freq-base", "2"], ["--override .rope.freq_base"]),
        (["--rope-scale", "2", "--rope-freq-scale", "0.5"], ["--rope-scale", "--rope-freq-scale", "one of them"]),
        (["--rope-scaling", "longrope"], ["--rope-scaling", "none or linear or yarn"]),
        (["--rope-freq-base", "inf"], ["--rope-freq-base", "'inf'", "finite"]),
        (["--rope-freq-scale", "0"], ["--rope-freq-scale", "'0'", "over 0"]),
        (["--yarn-orig-ctx", "0"], ["--yarn-orig-ctx", "'0'", "at least 1"]),
    ],
)
def test_bad_value_names_option_value_and_what_is_allowed(file: Path, arguments: list[str], words: list[str]) -> None:
    assert_error(gemel_("run", file, "hello", *arguments), 2, *words)


@pytest.mark.parametrize(
    ("arguments", "overrides"),
    [
        ([], {}),
        (["--override", "llama.rope.freq_base=500"], {"llama.rope.freq_base": 500}),
        (["--override", ".rope.freq_base=float:500"], {".rope.freq_base": 500.0}),
        (["--override-kv", "tokenizer.ggml.add_bos_token=bool:false"], {"tokenizer.ggml.add_bos_token": False}),
        (["--override", "a=str:7", "--override", "b=7", "--override", "c=x:y"], {"a": "7", "b": 7, "c": "x:y"}),
        (["--override", "a=true", "--override", "b=-2e2", "--override", "c=k=v"], {"a": True, "b": -200.0, "c": "k=v"}),
        (["--override", "a=", "--override", "b=str:int:7"], {"a": "", "b": "int:7"}),
        (
            ["--rope-scaling", "yarn", "--rope-scale", "4", "--rope-freq-base", "5e5", "--yarn-orig-ctx", "64"],
            {".rope.scaling.type": "yarn", ".rope.scaling.factor": 4.0, ".rope.freq_base": 5e5,
             ".rope.scaling.original_context_length": 64},
        ),
        (["--rope-freq-scale", "0.25"], {".rope.scaling.factor": 4.0}),
        (
            ["--yarn-attn-factor", "1.5", "--yarn-beta-slow", "2", "--yarn-beta-fast", "16"],
            {".rope.scaling.attn_factor": 1.5, ".rope.scaling.yarn_beta_slow": 2.0,
             ".rope.scaling.yarn_beta_fast": 16.0},
        ),
    ],
)  # fmt: skip
def test_options_become_overrides(
    file: Path, text_file: Path, arguments: list[str], overrides: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def refuse(*_: object, **options: object) -> None:
        given.append(options["overrides"])
        raise gemel.SourceError("enough")

    monkeypatch.setattr(gemel, "open", refuse)
    for command in (["run", file, "x"], ["chat", file], ["score", file, text_file], ["bench", file]):
        assert_error(gemel_(*command, *arguments), 1, "enough")
    assert [list(map(repr, one.items())) for one in given] == [list(map(repr, overrides.items()))] * len(given)
    assert given


def test_commands_read_the_file_with_its_overrides(file: Path, text_file: Path) -> None:
    given = ["--override", "llama.context_length=1024", "--rope-freq-base", "500"]
    with gemel.open(file, overrides={".context_length": 1024, ".rope.freq_base": 500}) as model:
        text = model.generate("the model", max_tokens=12, temperature=0).read()
    options = ["--raw", "-n", "12", "--temperature", "0", "--ctx", "1000", "--json"]
    assert gemel_("run", file, "the model", *options, *given).json["text"] == text
    assert gemel_("chat", file, "-n", "2", "--ctx", "1000", *given, stdin="hello\n").code == 0
    plain, other = gemel_("score", file, text_file, "--json"), gemel_("score", file, text_file, "--json", *given)
    assert plain.json["nll"] != other.json["nll"]
    assert other.json["ctx"] == 1024
    measured = gemel_("bench", file, "-p", "600", "-n", "0", "--reps", "1", "--json", *given).json
    assert measured["model"]["overrides"] == {"llama.context_length": 1024, "llama.rope.freq_base": 500.0}


def test_tokenize_reads_the_file_with_its_overrides(file: Path) -> None:
    key = "tokenizer.ggml.add_bos_token"
    both = [gemel_("tokenize", file, "the", "--bos", "--json", "--override", f"{key}={on}").json["ids"]
            for on in ("true", "false")]   # fmt: skip
    assert both[0][1:] == both[1]


def test_an_override_without_effect_is_one_line(file: Path) -> None:
    done = gemel_("run", file, "x", "--override", ".rope.freqbase=1")
    assert_error(done, 1, "llama.rope.freqbase=1 has no effect", "architecture llama")


def test_the_examples_of_the_docstrings_are_right() -> None:
    assert doctest.testmod(overrides_module).failed == 0
