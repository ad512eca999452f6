"""A path that is no file becomes a sentence: what is there instead, and which file may have been meant."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from .catalog import CATALOG, part_names
from .paths import not_known

CUTOFF = 0.6   # how similar a short name must be, of 1
Use = Literal["model", "session", "chat", "draft"]   # what the file should hold
SAVED = {
    use: f"pass a file that {use}.save(path) wrote, or the bytes that save() returned" for use in ("session", "chat")
}
SAVED["draft"] = "pass a file that gemel draft-cache wrote, or its bytes"


def of_kind(path: Path, kind: int, use: Use) -> str:
    """Return the sentence for what is not a regular file. kind: st_mode."""
    names = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    what = next((name for test, name in names if test(kind)), "a device")
    if not stat.S_ISDIR(kind):
        return f"{path} is {what}, not a file: copy its bytes to a file, or pass them"
    return f"{path} is {what}, not a file: {SAVED.get(use) or _in_folder(path)}"


def _in_folder(path: Path) -> str:
    """Say which models a folder holds: every .gguf file in it, a split model once."""
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        return f"pass the .gguf file in it (it can't be listed: {error.strerror})"
    models = [_model(name) for name in names if name.lower().endswith(".gguf") and part_names(name)[0] == name]
    if len(models) > 1:
        return f"pass one of the {len(models)} models in it: {', '.join(models)}"
    if models:
        return f"pass the .gguf file in it ({models[0]})"
    others = sorted({name[name.rindex(".") :] for name in names if name.endswith((".safetensors", ".bin", ".onnx"))})
    there = f", only {' and '.join(others)}: gemel opens GGUF files" if others else ""
    return f"there is no .gguf file in it{there}"


def _model(name: str) -> str:
    n_parts = len(part_names(name))
    return name if n_parts == 1 else f"{name} and its {n_parts - 1} other part{'s' * (n_parts > 2)}"


def missing(path: Path, use: Use) -> str:
    """Return the sentence for a file that does not exist."""
    sentence = f"there is no file {str(path)!r} in {_cwd()}"
    if unknown := not_known(path):
        return f"{sentence}: {unknown} does not exist"
    beside = _beside(path)
    if use in SAVED:
        return f"{sentence}; {_did_you_mean(beside) or SAVED[use]}"
    parts = part_names(path.name)
    if len(parts) > 1:
        return f"there is no file {str(path)!r}: the model is split into {len(parts)} files, and all are needed"
    return f"{sentence}; {_address(path) or _did_you_mean(beside) or _short_names(path)}"


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "the working folder, which was deleted"


def _beside(path: Path) -> list[str]:
    """Return up to 3 paths of files in the same folder whose names are close: other case, a missing ending, a slip."""
    import difflib  # here: only errors need it, and a tab waits for every import

    try:
        files = {one.name.lower(): one for one in sorted(path.parent.iterdir(), reverse=True) if one.is_file()}
    except OSError:
        return []
    wanted = path.name.lower()
    begins = [name for name in sorted(files) if wanted and name.startswith(wanted + ".")]
    close = [*begins, *difflib.get_close_matches(wanted, files, n=3, cutoff=0.75)]
    return [str(files[name]) for name in dict.fromkeys(close)][:3]


def _did_you_mean(names: Sequence[str]) -> str:
    return f"did you mean {' or '.join(map(repr, names))}?" if names else ""


def _address(path: Path) -> str:
    """Return a hint where a path looks like an address, as other programs write them; else ""."""
    text = path.as_posix()
    if re.match(r"(hf|https?):", text, re.IGNORECASE):
        return "an address is a str, not a Path"
    hub = re.fullmatch(r"(?:(?:hf\.co|huggingface\.co)/)([^/]+/[^/]+.*)|([\w.-]+/[\w.-]+(?::[\w.-]+)?)", text)
    if hub is None or text.lower().endswith((".gguf", ".bin")) or path.parent.is_dir():
        return ""
    return f"did you mean {'hf:' + (hub[1] or hub[2])!r}, of the Hugging Face hub?"


def _short_names(path: Path) -> str:
    close = short_name(str(path))
    return f"did you mean the short name {close!r}?" if close else all_short_names()


def all_short_names() -> str:
    """Return the sentence that lists the short names."""
    return f"short names are {', '.join(sorted(CATALOG))}"


def short_name(name: str) -> str | None:
    """Return the short name that begins as `name` does, or else the most similar one; None when none is near.

    >>> short_name("smollm-135m"), short_name("gemma3-1b"), short_name("mistral-7b-instruct"), short_name("nope")
    ('smollm2-135m-instruct', 'gemma-3-1b-it', None, None)
    """
    import difflib

    wanted = name.lower()
    longer = next((known for known in CATALOG if wanted and known.startswith(wanted)), None)
    if longer:
        return longer
    known = {_family(one): one for one in CATALOG}
    close = difflib.get_close_matches(_family(wanted), known, n=1, cutoff=CUTOFF)
    return known[close[0]] if close else None


def _family(name: str) -> str:
    """Return a name without what many names end with, which would make them all similar."""
    return re.sub("-(instruct|it|chat)$", "", name)
