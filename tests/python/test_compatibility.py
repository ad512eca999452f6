"""What versions promised holds (docs/compatibility.md): the interfaces have their lines, and their files open."""

from __future__ import annotations

import hashlib
import re
import sys
import warnings
from typing import Any

import gemel
import promises
import pytest
from conftest import tiny_bytes
from gemel.core import abi
from gemel.model.chat_file import HEAD
from saved_states import BITS_AT, sealed
from splits import bits

TO_DO = "run PYTHONPATH=tests python tests/golden/make_promises.py"


@pytest.fixture(scope="module")
def present() -> dict[str, list[str]]:
    if sys.platform != "linux":
        pytest.skip("the record is Linux's: other systems know fewer facts of the machine")
    return promises.lines()


# ---- Interfaces -----------------------------------------------------------------------------------------------------


def test_what_a_version_promised_is_there_or_given_up_in_a_note(present: dict[str, list[str]]) -> None:
    notes = promises.noted(promises.NOTES.read_text(encoding="utf-8"))
    gone = promises.broken(promises.recorded(), (line for found in present.values() for line in found), notes)
    instead = f"{TO_DO} --again" if not promises.is_released() else "keep them, or note each in docs/compatibility.md"
    assert gone == [], "\n".join([f"removed or changed: {instead}", *gone])


def test_what_is_there_is_recorded(present: dict[str, list[str]]) -> None:
    known = promises.recorded()
    new = [line for found in present.values() for line in found if line not in known]
    assert new == [], "\n".join([f"new: {TO_DO}", *new])


def test_notes_give_up_only_what_was_promised_and_is_gone(present: dict[str, list[str]]) -> None:
    notes = promises.noted(promises.NOTES.read_text(encoding="utf-8"))
    assert notes <= promises.recorded()
    assert not notes & {line for found in present.values() for line in found}


def test_a_removed_name_a_changed_parameter_and_a_changed_field_break_a_promise(present: dict[str, list[str]]) -> None:
    name, parameter = "gemel.Session.fork(): Session", "gemel.Session.cancel(on = True): 1 or keyword"
    field = "openai ChatRequest.max_tokens: integer >= -1 | null"
    answer = "POST /v1/chat/completions: choices[].message.content null | string"
    option, function = "gemel run --temp VALUE = 0.8", "int gemel_abi(void)"
    lines = {line for found in present.values() for line in found}
    for one in (name, parameter, field, answer, option, function):
        assert one in lines
        changed = lines - {one} | {one + " and more"}
        assert promises.broken(lines, changed, ()) == [one]
        assert promises.broken(lines, changed, promises.noted(f"\n## Changes\n\n- 0.2: `{one}`: why\n")) == []
        assert promises.broken(lines, changed, promises.noted(f"\n## Changes\n\n- 0.2: `{one}`:\n")) == [one]


def test_each_file_is_small_and_of_a_version_that_the_changelog_has() -> None:
    changelog = (promises.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for folder in promises.folders():
        assert re.search(rf"^## {folder.name}\.0", changelog, re.M)
        assert [path.name for path in folder.iterdir() if path.stat().st_size > promises.MOST] == []
    assert promises.folders()[0].name == "0.1"


# ---- Files ----------------------------------------------------------------------------------------------------------


def restored(session: gemel.Session, data: bytes, *, is_same: bool) -> None:
    """Restore a session; with other bits than its own, a warning says that its ids are evaluated again."""
    if is_same:
        session.restore(data)   # warnings are errors
    else:
        with pytest.warns(gemel.StateWarning, match="are evaluated again"):
            session.restore(data)


@pytest.mark.parametrize("was", promises.written("session").values(), ids=promises.written("session"))
def test_a_saved_session_opens_or_its_ids_are_evaluated_again(was: dict[str, Any]) -> None:
    is_same, data = was["bits"] == abi.BITS, promises.unpacked(was["data"])
    with gemel.open(promises.model_of(was), threads=1) as model, model.session(kv_type=was["kv_type"]) as fresh:
        fresh.append(was["ids"])
        same_logits = hashlib.sha256(bits(fresh)).hexdigest() == was["logits"]
        assert same_logits or not is_same, "the bits changed: raise GEMEL_BITS in gemel.h, and say so in docs/bits.md"
        changed = bytearray(data)
        changed[BITS_AT] ^= 0x40
        for state, is_known in ((data, is_same), (bytes(sealed(changed)), False)):
            with model.session(kv_type=was["kv_type"]) as session:
                restored(session, state, is_same=is_known)
                assert session.ids == was["ids"]
                assert bits(session) == bits(fresh)
        if is_same:
            assert fresh.save() == data


@pytest.mark.parametrize("was", promises.written("chat").values(), ids=promises.written("chat"))
@pytest.mark.parametrize("change", [0, 0x40], ids=["its bits", "other bits"])
def test_a_saved_chat_opens(was: dict[str, Any], change: int) -> None:
    data = promises.unpacked(was["data"])
    _, size, n_session, _ = HEAD.unpack(data[: HEAD.size])
    at = HEAD.size + size
    state = bytearray(data[at:])
    state[BITS_AT] ^= change
    with gemel.open(promises.model_of(was), threads=1) as model, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with model.resume_chat(data[:at] + bytes(sealed(state))) as chat:
            assert chat.messages == was["messages"]
            chat.send("And the sea?", max_tokens=2).read()
    assert n_session == len(state)
    assert [one.category for one in told] == [gemel.StateWarning] * (was["bits"] ^ change != abi.BITS)


@pytest.mark.parametrize("was", promises.written("drafts").values(), ids=promises.written("drafts"))
def test_a_draft_file_drafts(was: dict[str, Any]) -> None:
    data = promises.unpacked(was["data"])
    with gemel.open(promises.model_of(was), threads=1, draft=data) as model:
        assert model.draft == data
        assert model.draft_cache(was["texts"]) == data


def test_a_saved_session_of_another_version_and_another_model_is_refused() -> None:
    was = promises.written("session")["0.1 session-q8_0"]
    state = bytearray(promises.unpacked(was["data"]))
    state[BITS_AT] ^= 0x40
    with gemel.open(tiny_bytes(), threads=1) as model, model.session(kv_type="q8_0") as session:
        with pytest.raises(gemel.StateError, match="belongs to another model file"):
            session.restore(sealed(state))
        assert session.ids == []
