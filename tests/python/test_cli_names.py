"""Names of the command line's options: those of other programs, and what an error says of unknown ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gemel
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
    ("inspect", "--frobnicate"), ("bench", "--frobnicate"), ("serve", "--warm"), ("run", "--keep"), ("chat", "--color"),
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


LONG = '{"type": "array", "minItems": 30}'
TWICE = '{"const": ["a", "a"], "uniqueItems": true}'   # no value is valid
CUT = "note: the answer stopped after 5 tokens (-n); it may be incomplete: --close-at-max-tokens ends it whole\n"


def test_an_answer_with_a_form_that_the_limit_cuts_is_reported(file: Path) -> None:
    for command, stdin in ((["run", file, "hi"], ""), (["chat", file], "hi\n")):
        assert CUT in gemel_(*command, "--json-schema", LONG, "-n", "5", stdin=stdin).err
        assert "note" not in gemel_(*command, "-n", "5", stdin=stdin).err
        full = gemel_(*command, "--json-schema", LONG, "--ctx", "40", stdin=stdin).err
        assert "context of 40 tokens is full (--ctx" in full
        assert "it may be incomplete: --close-at-max-tokens" in full


def test_close_at_max_tokens_ends_an_answer_whole(file: Path) -> None:
    for seed in range(4):
        limits = ["-n", "12", "--close-at-max-tokens", "--seed", seed, "--temperature", "2"]
        done = gemel_("run", file, "hi", "--json-schema", '{"type": "array"}', *limits)
        assert (done.code, type(json.loads(done.out)), "note" in done.err) == (0, list, False)
        chat = gemel_("chat", file, "--json-schema", '{"type": "array"}', *limits, stdin="hi\n")
        assert (chat.out, chat.err) == (done.out, "")
    short = gemel_("run", file, "hi", "--json-schema", LONG, "-n", "5", "--close-at-max-tokens")
    assert_error(short, 1, "close_at_max_tokens: the shortest answer takes ")


def test_no_strict_reports_an_answer_that_is_not_valid(file: Path) -> None:
    assert_error(gemel_("run", file, "hi", "-j", TWICE), 1, "json_schema: #/uniqueItems: ")
    words = "error: the answer is not valid: #: the items are not unique (#/uniqueItems)"
    done = gemel_("run", file, "hi", "-j", TWICE, "--no-strict")
    assert (done.code, done.out, done.err.splitlines()[1:]) == (1, '["a","a"]\n', [words])
    done = gemel_("run", file, "hi", "-j", TWICE, "--no-strict", "--json")
    assert (done.code, done.json["text"], done.err) == (1, '["a","a"]', words + "\n")
    assert "error: " + done.json["invalid"] == words
    chat = gemel_("chat", file, "-j", TWICE, "--no-strict", stdin="hi\nho\n")
    assert (chat.code, chat.out, chat.err) == (0, '["a","a"]\n' * 2, (words + "\n") * 2)
    cut = gemel_("run", file, "hi", "-j", LONG, "-n", "5", "--no-strict")
    assert (cut.code, "error" in cut.err, CUT in cut.err) == (0, False, True)
    for more in ([], ["--json"]):
        valid = gemel_("run", file, "hi", "-j", '{"const": ["a"], "uniqueItems": true}', "--no-strict", *more)
        assert (valid.code, "error" in valid.err, "invalid" in valid.out) == (0, False, False)


def test_no_fast_forward_gives_the_same_answer(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    send = gemel.Chat.send

    def noted(chat: gemel.Chat, *given: Any, **options: Any) -> gemel.Generation:  # noqa: ANN401
        asked.append(options.get("fast_forward"))
        return send(chat, *given, **options)

    monkeypatch.setattr(gemel.Chat, "send", noted)
    given = ["run", file, "hi", "--choices", "a long answer", "--json", "--seed", "1"]
    fast, slow = gemel_(*given).json, gemel_(*given, "--no-fast-forward").json
    assert (fast["text"], slow["ids"], asked) == ("a long answer", fast["ids"], [None, False])


@pytest.mark.parametrize("command", ["run", "chat"])
def test_no_draft_opens_the_model_without_drafts(file: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts: list[object] = []
    send = gemel.Chat.send

    def noted(chat: gemel.Chat, *given: Any, **options: Any) -> gemel.Generation:  # noqa: ANN401
        opened: Any = chat.model
        drafts.append(opened.draft)
        return send(chat, *given, **options)

    monkeypatch.setattr(gemel.Chat, "send", noted)
    given = [command, file, "--seed", "1", "-n", "5"]
    said = {gemel_(*given, *flags, stdin="hi").out for flags in ([], ["--draft", file], ["--no-draft"])}
    assert (drafts[0], isinstance(drafts[1], gemel.Model), drafts[2], len(said)) == (True, True, False, 1)
    both = gemel_(*given, "--draft", file, "--no-draft", stdin="hi")
    assert_error(both, 2, f"--draft {file} has no effect with --no-draft: leave one of them out")


@pytest.mark.parametrize("command", ["run", "chat"])
def test_a_flag_without_a_form_that_it_is_for_is_an_error(file: Path, command: str) -> None:
    for flag in ("--close-at-max-tokens", "--no-strict", "--no-fast-forward"):
        done = gemel_(command, file, *(["hi"] if command == "run" else []), flag)
        assert_error(done, 2, f"{flag} has no effect without a form of the answer: add --json-schema")
    for form in (["--regex", "a"], ["--grammar-file", "x"], ["--choices", "a"]):
        done = gemel_(command, file, *(["hi"] if command == "run" else []), *form, "--no-strict")
        assert_error(done, 2, f"--no-strict has no effect with {form[0]}: it is for a JSON schema")


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
