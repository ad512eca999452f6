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


# ---- What the answer may be ------------------------------------------------------------------------------------------


def test_each_option_of_a_form_keeps_the_answer_in_it(file: Path, tmp_path: Path) -> None:
    schema, grammar = tmp_path / "schema.json", tmp_path / "grammar.gbnf"
    schema.write_text('{"enum": ["yes", "no"]}', encoding="utf-8")
    grammar.write_text('root ::= "\\"yes\\"" | "\\"no\\""', encoding="utf-8")
    for given in (
        ["-j", '{"enum": ["yes", "no"]}'], ["--json-schema", schema], ["--json-schema-file", schema], ["-jf", schema],
        ["--grammar", grammar.read_text("utf-8")], ["--grammar-file", grammar], ["--regex", '"(yes|no)"'],
        ["--choices", '"yes"', "--choices", '"no"'],
    ):   # fmt: skip
        for command in (["hello"], ["hello", "--raw"]):
            done = gemel_("run", file, *command, *given)
            assert (done.code, done.out) in ((0, '"yes"\n'), (0, '"no"\n')), done.err
    assert gemel_("chat", file, "--choices", "no", stdin="hello\nhow\n").out == "no\nno\n"


@pytest.mark.parametrize(("option", "text"), [
    ("--json-schema", '{"const": true}'), ("--json-schema-file", '{"const": true}'),
    ("--grammar-file", 'root ::= "true"'),
])  # fmt: skip
def test_stdin_is_read_once(file: Path, option: str, text: str) -> None:
    assert gemel_("run", file, "hello", option, "-", stdin=text).out == "true\n"
    for prompt in ([], ["-"]):
        done = gemel_("run", file, *prompt, option, "-", stdin=text)
        assert_error(done, 2, f"{option} - and PROMPT both read stdin: give PROMPT as an argument")
    done = gemel_("chat", file, option, "-", stdin=text)
    assert_error(done, 2, f"{option} -: stdin has the messages: give the name of a file")


@pytest.mark.parametrize(("given", "code", "words"), [
    (["--regex", "a", "--choices", "b"], 2, ["--regex and --choices both say what the answer may be"]),
    (["-j", "{}", "--json-schema-file", "x"], 2, ["--json-schema and --json-schema-file both say"]),
    (["--json-schema", "nowhere.json"], 1, ["nowhere.json can't be read: No such file"]),
    (["--json-schema", '{"type": 1}'], 1, ["json_schema: #/type"]),
    (["--json-schema", "{"], 1, ["json_schema: #: not valid JSON"]),
    (["--grammar", "root ::= a"], 1, ['grammar: line 1, column 10: there is no rule "a"']),
    (["--regex", "("], 1, ["regex: line 1, column"]),
])  # fmt: skip
def test_a_form_that_is_invalid_is_an_error(file: Path, given: list[str], code: int, words: list[str]) -> None:
    assert_error(gemel_("run", file, "hello", *given), code, *words)
