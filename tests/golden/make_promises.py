"""What this version promises, into tests/golden/VERSION: lines of its interfaces, and files that later versions open.

    PYTHONPATH=tests python tests/golden/make_promises.py           add what is new: lines, and files that are missing
    PYTHONPATH=tests python tests/golden/make_promises.py --again   write all again, of a version that is not released

The files of a released version are never made again: they are what that version wrote. A later version adds a folder
with the lines that are new in it. What it takes away is a note in docs/compatibility.md, and stays recorded here.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemel
import promises
from conftest import CHATML
from gemel.core import abi
from golden_files import FOLDER, IDS

BASE: dict[str, Any] = {"hashed": True, "format": "F32", "n_embd": 32, "n_head": 2, "n_head_kv": 1, "n_ff": 48}
TEXTS = ["the other one and the other day", "the other one and what they say"]
SESSIONS: dict[str, tuple[dict[str, Any], str]] = {   # fields of a model, the cache's type
    "q8_0": (BASE, "q8_0"), "f16": (BASE, "f16"), "f32": (BASE, "f32"),
    "window": ({**BASE, "arch": "gemma3", "window": 16}, "q8_0"),
    "recurrent": ({**BASE, "arch": "mamba2", "ssm_state": 8, "ssm_heads": 4}, "q8_0"),
}   # fmt: skip


def session(fields: dict[str, Any], kv_type: Any) -> dict[str, Any]:  # noqa: ANN401
    ids = [id % 300 for id in IDS[:21]]
    with gemel.open(promises.made(fields), threads=1) as model, model.session(kv_type=kv_type) as one:
        one.append(ids)
        logits = hashlib.sha256(bytes(memoryview(one.logits()))).hexdigest()
        return {"kv_type": kv_type, "ids": ids, "logits": logits, "data": promises.packed(one.save())}


def chat(fields: dict[str, Any]) -> dict[str, Any]:
    with gemel.open(promises.made(fields), threads=1) as model, model.chat("Be brief.", n_ctx=128) as one:
        one.send("Why is the sky blue?", max_tokens=4, temperature=0).read()
        return {"messages": [dict(message) for message in one.messages], "data": promises.packed(one.save())}


def drafts(fields: dict[str, Any]) -> dict[str, Any]:
    with gemel.open(promises.made(fields), threads=1) as model:
        return {"texts": TEXTS, "data": promises.packed(model.draft_cache(TEXTS))}


def write(path: Path, fields: dict[str, Any], make: Callable[[], dict[str, Any]]) -> None:
    head = {"version": gemel.__version__, "bits": abi.BITS, "fields": fields, "weights": promises.described(fields)}
    path.write_text(json.dumps(head | make()) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> None:
    folder, again = FOLDER / promises.version(), arguments == ["--again"]
    if promises.is_released():
        raise SystemExit(f"{gemel.__version__} is released: its files are never made again (see this file)")
    folder.mkdir(exist_ok=True)
    if again:
        for path in folder.iterdir():
            path.unlink()
    known = promises.recorded()
    for kind, found in promises.lines().items():
        here = {line for path in folder.glob(f"{kind}-[0-9].txt") for line in path.read_text("utf-8").splitlines()}
        promises.write_lines(folder, kind, sorted(here | (set(found) - known)))
    talking = {**BASE, "chat_template": CHATML}
    files: dict[str, tuple[dict[str, Any], Callable[[], dict[str, Any]]]] = {
        **{f"session-{name}": (fields, lambda one=(fields, type): session(*one))   # type: ignore[misc]
           for name, (fields, type) in SESSIONS.items()},
        "chat": (talking, lambda: chat(talking)), "drafts": (BASE, lambda: drafts(BASE)),
    }   # fmt: skip
    for name, (fields, make) in files.items():
        if not (folder / f"{name}.json").exists():
            write(folder / f"{name}.json", fields, make)


if __name__ == "__main__":
    main(sys.argv[1:])
