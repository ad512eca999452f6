"""Names of the command line's options: those of other programs, and what an error says of unknown ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import assert_error, gemel_


def test_further_names_of_options_mean_the_same(file: Path) -> None:
    ours = ["-n", "5", "--seed", "7", "--system", "Be brief.", "--repeat-penalty", "1.3", "--json"]
    other = ["--predict", "5", "-s", "7", "-sys", "Be brief.", "--repetition-penalty", "1.3", "--json"]
    expected = gemel_("run", file, "hello", *ours).json
    for given in (other, [*other[:4], "--system-prompt", *other[5:]]):
        found = gemel_("run", file, "hello", *given).json
        assert (found["ids"], found["prompt_ids"], found["seed"]) == (expected["ids"], expected["prompt_ids"], 7)


def test_dry_sequence_breaker_is_another_name_of_dry_breaker(file: Path) -> None:
    dry = ["-n", "9", "--seed", "7", "--dry-multiplier", "5", "--dry-allowed-length", "1", "--json"]
    ours, other, neither = (
        gemel_("run", file, "a b a b a b", *dry, *more).json["ids"]
        for more in (["--dry-breaker", "b"], ["--dry-sequence-breaker", "b"], [])
    )
    assert ours == other != neither


@pytest.mark.parametrize(("command", "option"), [
    ("inspect", "--frobnicate"), ("bench", "--frobnicate"), ("serve", "--keep"), ("run", "--keep"), ("chat", "--color"),
])
def test_an_option_that_is_like_none_gets_no_suggestion(file: Path, command: str, option: str) -> None:
    done = gemel_(command, file, option, "0")
    assert_error(done, 2, f"No such option: {option}")
    assert "Possible" not in done.err


@pytest.mark.parametrize(("options", "words"), [
    (["-ngl", "99"], "-ngl is not an option of gemel: gemel computes on the CPU: leave it out"),
    (["--n-gpu-layers", "99"], "No such option: --n-gpu-layers: gemel computes on the CPU: leave it out"),
    (["-ctk", "q8_0"], "-ctk is not an option of gemel: --kv-type sets the type of both, keys and values"),
    (["-no-cnv"], "-no-cnv is not an option of gemel: gemel run answers once, and gemel chat talks: leave it out"),
])
def test_options_of_llama_cpp_without_a_meaning_here_say_so(file: Path, options: list[str], words: str) -> None:
    assert_error(gemel_("run", file, "hello", *options), 2, words)


def test_a_text_after_two_dashes_may_be_any_word(file: Path) -> None:
    assert gemel_("run", file, "-n", "2", "--", "-ngl").code == 0
    assert gemel_("run", file, "x", "-n", "2", "--stop", "-np").code == 0
    assert_error(gemel_("run", file, "x", "--stop", "-np", "-n", "many"), 2, "'many'")


@pytest.mark.parametrize("command", ["bench", "serve", "chat"])
@pytest.mark.parametrize("option", ["-m", "--model"])
def test_a_model_has_no_option(file: Path, command: str, option: str) -> None:
    words = "MODEL has no option, only its place: it is the first argument"
    assert_error(gemel_(command, option, file), 2, f"{option}: {words}")
