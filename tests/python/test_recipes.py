"""docs/recipes.md's programs run: examples, a static server, C and C++, and the requests of other packages."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import building
import gemel
import openai
import pytest
from command import environment
from conftest import CHATML, tiny_bytes
from web_server import Server

PAGE = building.ROOT / "docs" / "recipes.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the page's programs in a language, without the examples, which doctest runs."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [block for block in found if ">>>" not in block]


def block(language: str, words: str) -> str:
    """Return the one program that contains some words."""
    (found,) = [block for block in blocks(language) if words in block]
    return found


def test_the_examples_run(model: gemel.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testfile(
        str(PAGE), module_relative=False, globs={"gemel": gemel, "model": model}, encoding="utf-8"
    )
    assert results.attempted > 12
    assert results.failed == 0
    assert (tmp_path / "sky.chat").is_file()


@pytest.mark.parametrize("has_bos", [True, False])
def test_a_texts_first_token_is_in_the_score_only_after_bos(tiny_model: Any, has_bos: bool) -> None:  # noqa: ANN401
    model = tiny_model(kv=[("tokenizer.ggml.add_bos_token", "bool", has_bos)])
    assert model.adds_bos == has_bos
    assert len(model.score("the quick")) == len(model.tokenize("the quick")) - (not has_bos)


def test_the_static_server_sends_the_headers_that_threads_need(tmp_path: Path) -> None:
    program = tmp_path / "serve.py"
    program.write_text(block("python", "ThreadingHTTPServer"), encoding="utf-8")
    (tmp_path / "page.mjs").write_text("1")
    process = subprocess.Popen(
        [sys.executable, program, "0"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        with urllib.request.urlopen(f"{process.stdout.readline().strip()}page.mjs", timeout=30) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            assert answer.read() == b"1"
    finally:
        process.kill()
        process.communicate()
    page = (building.ROOT / "docs" / "browser.md").read_text(encoding="utf-8")
    for name, value in re.findall(r"^    (Cross-Origin-\w+-Policy): ([\w-]+)", page, re.MULTILINE):
        assert headers[name.lower()] == value
    assert headers["content-type"] == "text/javascript"


def test_a_c_and_a_cpp_program_are_built_from_the_package(tmp_path: Path) -> None:
    if not shutil.which("gcc") or not shutil.which("g++"):
        building.lacking("there is no gcc or g++")
    manual = (building.ROOT / "docs" / "c_api.md").read_text(encoding="utf-8")
    hello = re.findall(r"^```c\n(// hello\.c.*?)^```$", manual, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "hello.c").write_text(hello, encoding="utf-8")
    (tmp_path / "ids.cpp").write_text(block("cpp", "ids.cpp"), encoding="utf-8")
    (tmp_path / "model.gguf").write_bytes(tiny_bytes())
    folder = Path(sys.executable).parent
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    script = "set -eu\n" + block("sh", "g++").replace("gcc ", "gcc -Wall -Wextra -Werror ").replace(
        "g++ ", "g++ -Wall -Wextra -Werror "
    )
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment(PATH=path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with gemel.open(tmp_path / "model.gguf") as model:
        ids = model.tokenize("the quick")
        expected = model.generate("the quick", max_tokens=64, temperature=0).read()
    run = {"cwd": tmp_path, "capture_output": True, "check": True}
    shown = subprocess.run(["./ids", "model.gguf", "the quick"], **run)   # type: ignore[call-overload]
    assert [int(line) for line in shown.stdout.split()] == ids
    shown = subprocess.run(["./hello", "model.gguf", "the quick"], **run)   # type: ignore[call-overload]
    assert expected.startswith(shown.stdout.decode("utf-8", "replace"))
    wrong = subprocess.run(["./ids", "hello.c", "x"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (wrong.returncode, "GEMEL_E_FORMAT" in wrong.stderr) == (1, True)


def test_the_header_is_where_the_package_says() -> None:
    folder = Path(gemel.include_path())
    assert [path.name for path in folder.iterdir()] == ["gemel.h"]
    assert (folder / "gemel.h").read_bytes() == (building.ROOT / "core_c" / "include" / "gemel.h").read_bytes()


def test_extras_that_pages_install_exist() -> None:
    with (building.ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    for page in [*building.ROOT.glob("*.md"), *(building.ROOT / "docs").glob("*.md")]:
        for named in re.findall(r"pip install (?:-e )?'?\.\[(\w+)\]", page.read_text(encoding="utf-8")):
            assert named in extras, page.name


# ---- Other packages --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    file = tmp_path_factory.mktemp("recipes") / "tiny.gguf"
    file.write_bytes(tiny_bytes(chat_template=CHATML))
    with Server(file) as server, openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client


def test_litellms_request_is_answered(client: openai.OpenAI) -> None:
    """litellm leaves the provider out of the model's name, and sends what the caller gave and an empty extra_body."""
    answer = client.chat.completions.create(
        model="model", messages=[{"role": "user", "content": "Hi"}], extra_body={}, max_tokens=4
    )
    assert answer.choices[0].message.role == "assistant"


@pytest.mark.parametrize("defaults", [{}, {"n": 1, "temperature": 0.7}])
def test_langchains_chats_are_answered(client: openai.OpenAI, defaults: dict[str, Any]) -> None:
    """Newer versions send only the model and the messages, older ones these defaults, too."""
    sent: Any = {"messages": [{"content": "Hi", "role": "user"}], "model": "model", "max_tokens": 4, **defaults}
    assert client.chat.completions.create(**sent, stream=False).choices[0].finish_reason in ("stop", "length")
    chunks = list(client.chat.completions.create(**sent, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage is not None


def test_langchains_embeddings_are_those_of_the_texts_with_its_flag(client: openai.OpenAI) -> None:
    """Without the flag langchain sends ids of another tokenizer, which mean other texts."""
    assert "check_embedding_ctx_length=False" in block("python", "OpenAIEmbeddings")
    texts = ["one text", "another"]
    found = client.embeddings.create(input=texts, model="model")
    with gemel.open(tiny_bytes(chat_template=CHATML)) as model:
        wanted = model.embed(texts).tolist()
    assert [row.embedding for row in found.data] == wanted
    other = client.embeddings.create(input=[[5, 6], [7]], model="model")
    assert [row.embedding for row in other.data] != wanted
