"""The command line: answers alone on stdout, one line an error, exit codes, options that say what they are."""

from __future__ import annotations

import dataclasses
import doctest
import json
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import building
import gemel
import pytest
import tiny
import typer
import vocabulary
from command import PROGRAM, Result, assert_error, environment, gemel_
from conftest import tiny_bytes
from gemel_native import chat as chat_module
from gemel_native import cli, options, output, plugins, progress

COMMANDS = [
    "run", "chat", "pull", "list", "rm", "ps", "stop", "inspect", "tokenize", "score", "embed", "rerank", "bench",
    "doctor", "draft-cache",
]
SPEEDS = re.compile(r"prompt \d+ tokens? .*at [\d.]+ tok/s; generated \d+ tokens?.*; loaded in [\d.]+ s\n")


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(vocabulary.TEXT, encoding="utf-8")
    return path


# ---- Help and usage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_is_explained(name: str) -> None:
    command: Any = typer.main.get_command(cli.app)
    command = command.get_command(None, name)
    assert command.help
    assert [one.name for one in command.params if not getattr(one, "help", "")] == []
    assert gemel_(name, "--help").code == 0


def test_without_a_command_the_commands_are_listed() -> None:
    shown = gemel_()
    assert shown.code == 2
    assert all(name in shown.out for name in COMMANDS)


def test_version_is_that_of_the_core() -> None:
    assert gemel_("--version") == Result(0, f"gemel {gemel.__version__}\n", "")


def test_unknown_command_names_the_nearest() -> None:
    assert_error(gemel_("rum"), 2, "'rum'", "'run'")


def test_each_field_of_sampling_is_an_option_with_its_docs_as_help() -> None:
    docs = options.field_docs(gemel.Sampling)
    assert list(docs) == [field.name for field in dataclasses.fields(gemel.Sampling)]
    assert all(docs.values())
    command: Any = typer.main.get_command(cli.app)
    shown = {one.name: one for one in command.get_command(None, "run").params}
    for name, doc in docs.items():
        assert shown[name].help.replace("\\[", "[").startswith(doc)


def test_options_that_repeat_the_defaults_are_no_error() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(gemel.Sampling)}
    del fields["logit_bias"], fields["seed"], fields["dry_breakers"]
    assert options.sampling_of(fields) == gemel.Sampling()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--threads", "0"], ["--threads", "'0'", "1 to 256"]),
        (["--threads", "two"], ["--threads", "'two'", "1 to 256"]),
        (["-n", "0"], ["--max-tokens", "'0'", "at least 1"]),
        (["-n", "-2"], ["--max-tokens", "'-2'"]),
        (["--ctx", "513"], ["--ctx 513", "1 to 512"]),
        (["--top-p", "1.5"], ["--top-p=1.5", "from 0 to 1"]),
        (["--top-p", "x"], ["--top-p", "'x'", "number"]),
        (["--top-k", "1.5"], ["--top-k", "'1.5'", "integer"]),
        (["--temperature", "nan"], ["--temperature=nan", "at least 0"]),
        (["--seed", str(2**64)], [f"--seed={2**64}", "2**64-1"]),
        (["--temperature", "0", "--top-k", "3"], ["--top-k=3", "no effect", "--temperature=0"]),
        (["--mirostat-tau", "3"], ["--mirostat-tau=3.0", "--mirostat=2"]),
        (["--logit-bias", "5"], ["--logit-bias '5'", "ID=BIAS"]),
        (["--logit-bias", "5=inf"], ["--logit-bias={5: inf}", "-inf"]),
        (["--isa", "sse9"], ["--isa sse9", "scalar"]),
        (["--raw", "--system", "x"], ["--system", "--raw"]),
        (["--special"], ["--special", "--raw"]),
        (["--frobnicate"], ["--frobnicate"]),
        (["--temprature", "0"], ["--temprature", "Possible options: --temp, --temperature)"]),
        (["world"], ["extra argument", "(world): write a text of several words in quotes"]),
        (["-5 + 3"], ["-5", "write -- before a text that begins with -"]),
        (["--model", "x"], ["--model: MODEL and the text have no option, only their place; write -- before"]),
        (["--cache-type-k", "q8_0"], ["--cache-type-k: --kv-type sets the type of both, keys and values"]),
        (["--cache-type-v", "q8_0"], ["--cache-type-v: --kv-type sets the type of both, keys and values"]),
        (["--keep", "0"], ["--keep: write -- before a text that begins with -"]),
        (["--predict", "0"], ["--max-tokens", "'0'", "at least 1"]),
        (["--repetition-penalty", "0"], ["--repeat-penalty=0.0", "over 0"]),
        (["-p", "hi"], ["-p: MODEL and the text have no option, only their place; write -- before"]),
    ],
)
def test_bad_value_names_option_value_and_what_is_allowed(file: Path, arguments: list[str], words: list[str]) -> None:
    assert_error(gemel_("run", file, "hello", *arguments), 2, *words)


def test_options_have_llama_cpps_names_too(file: Path) -> None:
    ours = gemel_("run", file, "--max-tokens", "5", "--ctx", "64", "--temperature", "0", "--", "-5 + 3")
    other = gemel_("run", file, "--n-predict", "5", "-c", "64", "--temp", "0", "--", "-5 + 3")
    assert (ours.code, ours.out) == (other.code, other.out)
    assert ours.code == 0


# ---- run -------------------------------------------------------------------------------------------------------------


def test_run_prints_the_answer_on_stdout_and_speeds_on_stderr(file: Path) -> None:
    with gemel.open(file) as model:
        text = model.chat("Be brief.").send("hello", max_tokens=12, temperature=0).read()
    done = gemel_("run", file, "hello", "--system", "Be brief.", "-n", "12", "--temperature", "0")
    assert (done.code, done.out) == (0, text.removesuffix("\n") + "\n")
    assert SPEEDS.fullmatch(done.err)


def test_reasoning_goes_to_stderr(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    text = "{{ messages[0].content }}{% if add_generation_prompt %}<think>{% endif %}{# </think> #}"
    path.write_bytes(tiny_bytes(chat_template=text))
    arguments = ("run", path, "the", "-n", "24", "--seed", "1", "--reasoning-budget", "3")
    done = gemel_(*arguments)
    found = gemel_(*arguments, "--json").json
    assert done.code == 0
    assert found["reasoning"] in done.err
    assert done.out.rstrip("\n") == found["text"].rstrip("\n")
    assert "think>" not in done.out + found["reasoning"]
    raw = gemel_("run", path, "the", "--raw", "--reasoning-budget", "3")
    assert_error(raw, 2, "--reasoning-budget has no effect with --raw")


def test_run_raw_continues_the_text(file: Path) -> None:
    with gemel.open(file) as model:
        generation = model.generate("the model", max_tokens=12, seed=1)
        text = generation.read()
    answer = gemel_("run", file, "the model", "--raw", "-n", "12", "--seed", "1", "--json").json
    assert (answer["text"], answer["ids"], answer["seed"]) == (text, generation.ids, 1)
    assert answer["prompt_ids"] == generation.prompt_ids
    assert answer["stop_reason"] == "length"
    speeds = answer["speeds"]
    assert speeds["prompt_tokens"] == speeds["evaluated_tokens"] == len(generation.prompt_ids)
    assert speeds["decoded_tokens"] == 11
    drafted, accepted = speeds.pop("drafted_tokens"), speeds.pop("accepted_tokens")
    assert drafted >= accepted >= 0
    kinds = speeds.pop("drafts").values()
    assert [drafted, accepted] == [sum(kind[name] for kind in kinds) for name in ("drafted", "accepted")]
    assert min(speeds.values()) > 0


def test_seed_that_run_reports_repeats_it(file: Path) -> None:
    first = gemel_("run", file, "hello", "-n", "8", "--json").json
    again = gemel_("run", file, "hello", "-n", "8", "--json", "--seed", first["seed"]).json
    assert again["ids"] == first["ids"]


def test_special_tokens_count_only_when_asked_for(file: Path) -> None:
    with gemel.open(file) as model:
        ids = [model.tokenize("<|im_start|>", special=special) for special in (False, True)]
    for arguments, expected in zip(([], ["--special"]), ids, strict=True):
        done = gemel_("run", file, "<|im_start|>", "--raw", "-n", "1", "--json", *arguments).json
        assert done["prompt_ids"] == expected


def test_sampling_options_reach_the_sampler(file: Path) -> None:
    done = gemel_("run", file, "hello", "-n", "3", "--logit-bias", "300=1000", "--logit-bias", "2=-inf", "--json")
    assert done.json["ids"] == [300] * 3


def test_stop_text_ends_the_answer(file: Path) -> None:
    common = ["run", file, "hello", "-n", "20", "--temperature", "0"]
    whole = gemel_(*common).out
    stop = whole[5:8]
    done = gemel_(*common, "--stop", stop, "--stop", "@@@", "--json").json
    assert (done["text"], done["stop_reason"]) == (whole[: whole.index(stop)], "stop")


@pytest.mark.parametrize("arguments", [[], ["-"]])
@pytest.mark.parametrize("stdin", ["hello\n", "hello", "hello\r\n"])
def test_prompt_comes_from_stdin(file: Path, arguments: list[str], stdin: str) -> None:
    rest = ["-n", "4", "--temperature", "0", "--json"]
    given = gemel_("run", file, "hello", *rest).json
    assert gemel_("run", file, *arguments, *rest, stdin=stdin.encode()).json["prompt_ids"] == given["prompt_ids"]


def test_stdin_without_a_prompt_is_a_usage_error(file: Path) -> None:
    assert_error(gemel_("run", file), 2, "PROMPT", "stdin")


def test_stdin_that_is_not_utf8_says_where(file: Path) -> None:
    assert_error(gemel_("run", file, stdin=b"ab\xff"), 1, "stdin", "0xff", "offset 2")


def test_a_full_context_is_reported(file: Path) -> None:
    done = gemel_("run", file, "hello", "--ctx", "40", "--temperature", "0", "--logit-bias", "2=-inf")
    assert done.code == 0
    assert "context of 40 tokens is full" in done.err


def test_prompt_that_does_not_fit_is_an_error(file: Path) -> None:
    assert_error(gemel_("run", file, "hello " * 50, "--ctx", "40"), 1, "n_ctx is 40", "--ctx")


@pytest.mark.parametrize("command", [["run", "{}", "x"], ["inspect", "{}"], ["tokenize", "{}", "x"], ["bench", "{}"]])
def test_a_model_that_cannot_be_opened_is_an_error_of_one_line(tmp_path: Path, command: list[str]) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(tiny_bytes()[:1000])
    for path, words in ((tmp_path / "none.gguf", "no file"), (tmp_path, "folder"), (damaged, "offset")):
        assert_error(gemel_(*[part.format(path) for part in command]), 1, words)


def test_run_without_a_template_continues_the_text_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "plain.gguf"
    path.write_bytes(tiny_bytes())
    options = ("hello", "-n", "8", "--seed", "1")
    raw, done = gemel_("run", path, *options, "--raw"), gemel_("run", path, *options)
    assert (done.code, done.out) == (0, raw.out)
    note, speeds = done.err.splitlines()
    assert note == "plain.gguf has no chat template: it continues the prompt as it is, as with --raw"
    assert SPEEDS.fullmatch(speeds + "\n")
    assert gemel_("run", path, *options, "--json").json["text"] == raw.out.removesuffix("\n")
    assert_error(gemel_("run", path, "hello", "--system", "x"), 2, "--system 'x'", "plain.gguf has no chat template")


def test_chat_without_a_template_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "plain.gguf"
    path.write_bytes(tiny_bytes())
    assert_error(gemel_("chat", path), 1, "plain.gguf has no chat template", "gemel run")


# ---- Streams and signals ---------------------------------------------------------------------------------------------


def test_stdout_of_any_encoding_takes_any_text(file: Path) -> None:
    command = [*PROGRAM, "tokenize", str(file), "é🦊"]
    done = subprocess.run(command, env=environment(PYTHONIOENCODING="ascii"), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


@pytest.mark.skipif(os.name != "posix", reason="signals and pipes are POSIX's here")
def test_reader_that_leaves_is_no_error(file: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "inspect", str(file)], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    with process:
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == (b"", cli.READER_GONE)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's here")
def test_interrupted_run_ends_with_130(tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    path.write_bytes(tiny_bytes(n_ctx=200_000))
    endless = ("--logit-bias", "0=-inf", "--logit-bias", "2=-inf")   # both ids that end a text
    command = [*PROGRAM, "run", str(path), "hello", "--raw", "--ctx", "200000", *endless]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert (process.wait(), process.stderr.read()) == (130, b"")


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "evil.gguf"
    evil = [("general.name", "string", "a\x1b[2Jb\nc"), ("\x1bkey", "string", "x")]
    path.write_bytes(tiny_bytes(kv=tuple(evil)))
    shown = gemel_("inspect", path).out
    assert "\x1b" not in shown
    assert r"a\x1b[2Jb\nc" in shown
    assert gemel_("inspect", path, "--json").json["metadata"]["general.name"] == "a\x1b[2Jb\nc"


def test_generated_text_reaches_a_terminal_without_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None: ...

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    writer = output.Writer()
    writer.write("a\x1b[31m\tb\x9b\n")
    writer.end_line()
    assert terminal.text == "a[31m\tb\n"


def test_json_has_no_numbers_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"a": [float("nan"), float("-inf")], "b": {"c": 1.5}, "d": "é"})
    assert capsys.readouterr().out == '{"a": ["nan", "-inf"], "b": {"c": 1.5}, "d": "\\u00e9"}\n'


def test_progress_is_silent_if_stderr_is_not_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Bar() as bar:
        bar._start -= 10
        bar("load", 1, 2)
    with progress.watching("prompt", lambda: (1, 2)):
        pass
    assert capsys.readouterr() == ("", "")


def test_progress_in_a_log_is_one_line_per_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Bar(log=True) as bar:
        for done in (0, 5, 9, 10, 25, 99, 100):
            bar("download", done * 10**6, 10**8)
        bar("load", 1, 2)
    tenths = [0, 10, 20, 90, 100]
    assert capsys.readouterr() == ("", "".join(f"downloading: {tenth} % of 100 MB\n" for tenth in tenths))


# ---- inspect, tokenize, score, pull ----------------------------------------------------------------------------------


def test_inspect_gives_metadata_and_tensors(file: Path) -> None:
    found = gemel_("inspect", file, "--json").json
    with gemel.inspect(file) as gguf:
        assert [row["name"] for row in found["tensors"]] == [tensor.name for tensor in gguf.tensors]
        assert list(found["metadata"]) == list(gguf.metadata)
        tokens = gguf.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    assert found["metadata"]["tokenizer.ggml.tokens"] == {"count": len(tokens), "first": tokens[:64]}
    assert gemel_("inspect", file, "--json", "--full").json["metadata"]["tokenizer.ggml.tokens"] == tokens
    row = found["tensors"][0]
    assert (row["name"], row["shape"], row["format"], row["computed"]) == (
        "token_embd.weight", [64, len(tokens)], "Q4_1", True
    )
    shown = gemel_("inspect", file).out
    assert all(name in shown for name in ("blk.1.ffn_down.weight", "general.architecture", f"({len(tokens)} items)"))


def test_inspect_reads_the_header_only(tmp_path: Path) -> None:
    path = tmp_path / "huge.gguf"
    rows = 10**8
    tensors = [tiny.Tensor("huge.weight", "F32", [256, rows], b"")]
    header = tiny.write_gguf(None, [("general.architecture", "string", "unheard-of")], tensors)
    with path.open("wb") as out:
        out.write(header)
        try:
            out.truncate(len(header) + 1024 * rows)   # a hole of 102 GB
        except OSError as error:
            pytest.skip(f"this disk holds no sparse file: {error}")
    found = gemel_("inspect", path, "--json").json
    assert (found["size"], found["n_params"]) == (len(header) + 1024 * rows, 256 * rows)
    assert_error(gemel_("run", path, "hello", "--raw"), 1, "unheard-of")


def test_inspect_full_needs_json(file: Path) -> None:
    assert_error(gemel_("inspect", file, "--full"), 2, "--full", "--json")


def test_tokenize_prints_ids_and_pieces(file: Path) -> None:
    with gemel.open(file) as model:
        ids = model.tokenize("the 🦊\n")
        special = model.tokenize("<|im_end|>", special=True)
    found = gemel_("tokenize", file, "the 🦊\n", "--json").json
    assert found["ids"] == ids
    assert r"\xf0" in "".join(found["pieces"])
    lines = gemel_("tokenize", file, "-", stdin="the 🦊\n").out.splitlines()
    assert [int(line.split("\t")[0]) for line in lines] == ids
    assert gemel_("tokenize", file, "<|im_end|>", "--special", "--json").json["ids"] == special


@pytest.mark.parametrize("tokenizer", ["bpe", "spm"])
def test_score_adds_up_over_chunks(tmp_path: Path, text_file: Path, tokenizer: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_bytes(tokenizer=tokenizer))
    with gemel.open(path) as model:
        ids = model.tokenize(text_file.read_text(encoding="utf-8"))
        bos = [1] if model.adds_bos else []
        parts = [[*bos, *ids[at : at + 50 - len(bos)]] for at in range(0, len(ids), 50 - len(bos))]
        parts = [part for part in parts if len(part) > 1]
        expected = [p for part in parts for p in model.score(part)]
    found = gemel_("score", path, text_file, "--ctx", "50", "--json", "--ids").json
    assert found["bos"] == bool(bos) == (tokenizer == "spm")
    assert [part["ids"] for part in found["parts"]] == parts
    assert [p for part in found["parts"] for p in part["log_probs"]] == expected
    assert all(len(part["top"]) == len(part["ids"]) - 1 for part in found["parts"])
    assert (found["tokens"], found["n_ids"], found["chunks"]) == (len(expected), len(ids), len(parts))
    assert found["nll"] == pytest.approx(-sum(expected) / len(expected), rel=1e-12)
    assert f"mean NLL {found['nll']:.6f}" in gemel_("score", path, text_file, "--ctx", "50").out


def test_score_needs_two_tokens(file: Path) -> None:
    assert_error(gemel_("score", file, "-", stdin="a"), 1, "stdin has 1 token")
    assert_error(gemel_("score", file, "-"), 1, "stdin has 0 tokens")
    assert_error(gemel_("score", file, "-", "--ids"), 2, "--json")
    assert_error(gemel_("score", file, "/nowhere/x.txt"), 1, "/nowhere/x.txt", "No such file")


def test_pull_prints_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemel, "pull", lambda name, on_progress: Path("cache") / name)
    assert gemel_("pull", "some-name") == Result(0, str(Path("cache") / "some-name") + "\n", "")


def test_pull_of_an_unknown_name_names_the_nearest() -> None:
    assert_error(gemel_("pull", "smollm2"), 1, "smollm2-135m-instruct")
    assert_error(gemel_("pull", "gemma3-1b"), 1, "gemma-3-1b-it")


# ---- doctor ----------------------------------------------------------------------------------------------------------


def test_doctor_reports_library_kernels_and_cache(empty_cache: Path) -> None:
    report = gemel_("doctor", "--json").json
    assert report["library"]["isas"] == gemel.isas()
    assert report["library"]["path"] == gemel.library_path()
    assert report["cache"] == {"folder": str(empty_cache), "models": [], "size": 0, "free": report["cache"]["free"]}
    assert "a model in the cache" in [one["what"] for one in report["missing"]]
    shown = gemel_("doctor").out
    assert all(row in shown for row in gemel.isas())


def test_doctor_reports_what_is_broken_and_does_not_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [*PROGRAM, "doctor", "--json"]
    env = environment(GEMEL_LIBRARY=str(tmp_path / "none.so"))
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "none.so" in json.loads(done.stdout)["missing"][0]["effect"]
    done = subprocess.run([*PROGRAM, "--version"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "none.so" in done.stderr
    monkeypatch.setenv("GEMEL_ISA", "sse9")
    assert any("sse9" in one["effect"] for one in gemel_("doctor", "--json").json["missing"])


# ---- Commands of other packages --------------------------------------------------------------------------------------


def plain(name: str, *, times: int = 1) -> None:
    """Say a name."""
    print("plain", name * times)


nested = typer.Typer(help="Two commands.")
nested.command("first")(plain)
nested.command("second")(plain)
not_a_command = 7


@pytest.fixture
def fake_points(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"plain": "plain", "nested": "nested", "number": "not_a_command", "gone": "absent", "run": "plain"}
    points = [EntryPoint(name, f"{__name__}:{attribute}", plugins.GROUP) for name, attribute in modules.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == plugins.GROUP else [])


@pytest.mark.usefixtures("fake_points")
def test_entry_points_become_commands(file: Path) -> None:
    assert gemel_("plain", "x", "--times", "2") == Result(0, "plain xx\n", "")
    assert gemel_("nested", "second", "y") == Result(0, "plain y\n", "")
    shown = gemel_("--help")
    assert shown.code == 0
    assert all(words in shown.out for words in ("Say a name", "Two commands", "not available"))
    assert gemel_("tokenize", file, "a").code == 0
    assert "Answer PROMPT" in gemel_("run", "--help").out   # its own commands come first
    assert "nested" in gemel_("doctor", "--json").json["commands"]


@pytest.mark.usefixtures("fake_points")
@pytest.mark.parametrize(("name", "words"), [("number", "TypeError"), ("gone", "AttributeError")])
def test_broken_entry_point_is_an_error_only_when_used(name: str, words: str) -> None:
    assert_error(gemel_(name), 1, f"gemel {name}", words)


# ---- chat ------------------------------------------------------------------------------------------------------------


def test_chat_answers_line_by_line(file: Path) -> None:
    with gemel.open(file) as model, model.chat("Be brief.") as conversation:
        answers = [
            conversation.send(text, max_tokens=8, temperature=0).read() for text in ("hello", "two\nlines", " /odd")
        ]
    stdin = 'hello\n"""two\nlines"""\n\n /odd\n'
    done = gemel_("chat", file, "--system", "Be brief.", "-n", "8", "--temperature", "0", stdin=stdin)
    assert (done.code, done.err) == (0, "")
    assert done.out == "".join(answer.removesuffix("\n") + "\n" for answer in answers)


def test_chat_saves_and_loads(file: Path, tmp_path: Path) -> None:
    saved = tmp_path / "talk.json"
    rest = ["-n", "4", "--temperature", "0", "--speeds"]
    gemel_("chat", file, *rest, stdin=f"/system Be kind.\nhello\n/save {saved}\n")
    messages = json.loads(saved.read_text(encoding="utf-8"))["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    done = gemel_("chat", file, *rest, stdin=f"/load {saved}\nagain\n/save {saved}\n/reset\n/system\n/exit\nnever\n")
    assert len(json.loads(saved.read_text(encoding="utf-8"))["messages"]) == 5
    assert "Be kind." in done.err
    assert done.err.count("tok/s; generated 4 tokens") == 1


def test_chat_reports_errors_and_goes_on(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("{}")
    stdin = f"/frob\n/load {other}\n/save {other}\n/load {tmp_path}\n/save\n{'long ' * 600}\nhello\n/help\n"
    done = gemel_("chat", file, "-n", "4", "--temperature", "0", stdin=stdin)
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 0
    expected = ("/frob", "not a conversation file", "not a conversation file", "not a file", "name", "--ctx")
    for words, error in zip(expected, errors, strict=True):
        assert words in error
    assert done.out.strip()
    assert other.read_text() == "{}"


def test_interrupted_answer_stays_and_the_conversation_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(generation: gemel.Generation) -> None:
        next(generation)
        raise KeyboardInterrupt

    with gemel.open(file) as model, model.chat() as conversation:
        repl = chat_module.Repl(conversation, sampling=gemel.Sampling(temperature=0), max_tokens=20)
        with monkeypatch.context() as patched:
            patched.setattr(chat_module, "stream", interrupted)
            repl.handle("hello")
        assert [message["role"] for message in conversation.messages] == ["user", "assistant"]
        assert conversation.messages[1]["content"]
        repl.handle("and then?")
        assert len(conversation.messages) == 4


@pytest.mark.model
def test_real_model_answers(real_path: Path) -> None:
    done = gemel_("run", real_path, "Why is the sky blue?", "-n", "24", "--temperature", "0")
    assert done.code == 0
    assert "light" in done.out
    assert SPEEDS.fullmatch(done.err)


def test_kv_type_is_passed_to_the_session(file: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the model said that the model said " * 4)
    with gemel.open(file) as model:
        ids = model.tokenize(text.read_text())
        for kv_type in ("f16", "q8_0"):
            with model.session(kv_type=kv_type) as session:
                expected = session.score([model.bos_id, *ids] if model.adds_bos and model.bos_id else ids)[0][1:]
            part = gemel_("score", file, text, "--kv-type", kv_type, "--json", "--ids").json["parts"][0]
            assert part["log_probs"] == expected
    bench = gemel_("bench", file, "-p", "4", "-n", "0", "--reps", "1", "--kv-type", "f16", "--json")
    assert bench.json["kv_type"] == "f16"
    assert_error(gemel_("run", file, "hello", "--kv-type", "q4_0"), 2, "--kv-type", "q4_0", "f16", "q8_0")


# ---- The manual ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [cli, options, output])
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_manual_knows_the_options_and_no_others() -> None:
    manual = (building.ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    command: Any = typer.main.get_command(cli.app)
    known = {"--help", "--peer-python"}
    sampling: set[str] = set()
    found = [command.get_command(None, name) for name in COMMANDS]
    found += command.get_command(None, "keys").commands.values()
    for each in found:
        for one in each.params:
            is_sampling = getattr(one, "rich_help_panel", None) == options.SAMPLING
            words = [*one.opts, *one.secondary_opts]
            (sampling if is_sampling else known).update(word for word in words if word.startswith("--"))
    written = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", manual))
    assert written <= known | sampling
    assert known - written == {"--max-tokens"}   # the manual writes -n
