"""`make site`: the page as a folder of files, with models, told that no server answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import building
import gemel
import pytest
import static_site
from conftest import tiny_bytes
from gemel_native.serving import page


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "static"
    for name in ("index.html", "gemel.js", "page/a.js", "wheels/a.whl", ".hidden", "page/__pycache__/a.pyc"):
        file = made / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    files = [{"name": "wheels/a.whl", "size": len("wheels/a.whl"), "sha256": ""}]
    (made / "assets.json").write_text(json.dumps({"pyodide": [], "wheels": files, "vendor": []}))
    monkeypatch.setattr(page, "STATIC", made)
    return made


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    names = ["tiny.gguf", "big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]
    for name in names:
        (tmp_path / name).write_bytes(tiny_bytes())
    return [str(tmp_path / name) for name in names]


def contents(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("source")
def test_the_site_is_the_page_and_the_models(tmp_path: Path, models: list[str]) -> None:
    out = tmp_path / "build" / "site"
    static_site.write(out, models[:2])
    size = len(tiny_bytes())
    assert json.loads((out / "config.json").read_text()) == {
        "native": False,
        "key": False,
        "models": [
            {"alias": "tiny", "url": "models/tiny.gguf", "size": size},
            {"alias": "big", "url": "models/big-00001-of-00002.gguf", "size": 2 * size},
        ],
    }
    page = {"index.html", "gemel.js", "page/a.js", "wheels/a.whl", "assets.json", "config.json"}
    assert contents(out) == page | {f"models/{Path(model).name}" for model in models}
    assert (out / "models" / "tiny.gguf").read_bytes() == tiny_bytes()


def test_a_second_run_replaces_the_first(tmp_path: Path, source: Path, models: list[str]) -> None:
    out = tmp_path / "site"
    static_site.write(out, models[:1])
    (source / "page" / "a.js").unlink()
    static_site.write(out, [])
    assert contents(out) == {"index.html", "gemel.js", "wheels/a.whl", "assets.json", "config.json"}
    assert json.loads((out / "config.json").read_text())["models"] == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.usefixtures("source")
def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "precious"
    out.mkdir()
    (out / "letter.txt").write_text("Dear")
    with pytest.raises(gemel.ArgumentError, match=r"--out .*precious exists and is not a site"):
        static_site.write(out, [])
    with pytest.raises(gemel.ArgumentError, match=r"--out .*letter\.txt exists and is not a site"):
        static_site.write(out / "letter.txt", [])
    assert contents(out) == {"letter.txt"}


@pytest.mark.usefixtures("source")
def test_a_model_that_cannot_be_copied_is_an_error(tmp_path: Path, models: list[str]) -> None:
    (tmp_path / "text.gguf").write_text("text")
    out = tmp_path / "site"
    with pytest.raises(gemel.FormatError, match=r"text\.gguf is not a GGUF file"):
        static_site.write(out, [str(tmp_path / "text.gguf")])
    with pytest.raises(gemel.ArgumentError, match="two models are called tiny"):
        static_site.write(out, [models[0], models[0]])
    with pytest.raises(gemel.SourceError, match=r"missing\.gguf can't be read"):
        static_site.write(out, [str(tmp_path / "missing.gguf")])
    assert not out.exists()


def test_missing_page_files_are_an_error_with_advice(tmp_path: Path, source: Path) -> None:
    (source / "assets.json").unlink()
    with pytest.raises(gemel.GemelError, match="make assets"):
        static_site.write(tmp_path / "site", [])


def test_the_program_fails_with_a_message(tmp_path: Path) -> None:
    script = building.ROOT / "web" / "build" / "static_site.py"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    done = building.execute([sys.executable, script, "--out", tmp_path / "other"])
    assert done.returncode == 1
    assert "make assets" in done.stdout or "name a new folder" in done.stdout
    assert "Traceback" not in done.stdout
