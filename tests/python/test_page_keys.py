"""A page's key says what its bits follow from: equal keys mean equal pages, other pages have other keys."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import gemel
import numpy as np
import pytest
from conftest import tiny_bytes
from gemel import KV_TYPES, KvType
from gemel.model.kv import KV_NUMBERS
from gemel.model.page_keys import PAGE, page_keys

IDS = [(7 * i + i * i // 5) % 300 for i in range(3 * PAGE + 10)]


def keys(
    ids: list[int] = IDS,
    *,
    kv_type: int = 8,
    rope_table: int = 0,
    adapters: Sequence[tuple[bytes, float]] = (),
    salt: bytes = b"",
) -> list[bytes]:
    return page_keys(ids, kv_type=kv_type, rope_table=rope_table, adapters=adapters, salt=salt)


def test_only_whole_pages_have_keys() -> None:
    assert [len(keys(IDS[:n])) for n in (0, 1, 63, 64, 65, 127, 128, len(IDS))] == [0, 0, 0, 1, 1, 1, 2, 3]
    assert {len(key) for key in keys()} == {32}


def test_a_key_covers_every_id_up_to_its_pages_end() -> None:
    for changed in range(3 * PAGE):
        other = keys([*IDS[:changed], IDS[changed] + 1, *IDS[changed + 1 :]])
        same = changed // PAGE
        assert other[:same] == keys()[:same]
        assert not set(other[same:]) & set(keys())


def test_equal_pages_at_other_places_have_other_keys() -> None:
    assert len(set(keys([5] * (4 * PAGE)))) == 4


def test_whatever_changes_the_bits_or_the_salt_changes_every_key() -> None:
    one, two = sha256(b"one").digest(), sha256(b"two").digest()
    seen = [
        keys(),
        keys(kv_type=1),
        keys(rope_table=1),
        keys(salt=b"a user"),
        keys(salt=b"a use"),
        keys(adapters=[(one, 1.0)]),
        keys(adapters=[(one, 0.5)]),
        keys(adapters=[(one, 1.0), (two, 1.0)]),
        keys(adapters=[(two, 1.0), (one, 1.0)]),
    ]
    assert len({key for found in seen for key in found}) == 3 * len(seen)


def test_an_embedding_ends_the_keys() -> None:
    with gemel.open(tiny_bytes(), threads=1) as model, model.session() as session:
        session.append(IDS[:PAGE])
        session.append_rows(np.full((1, model.n_embd), 0.5, np.float32))
        session.append(IDS[:PAGE])
        assert session.page_keys() == keys(IDS[:PAGE])


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_a_sessions_keys_are_those_of_its_ids_and_its_caches_type(kv_type: KvType) -> None:
    with gemel.open(tiny_bytes(), threads=1) as model, model.session(kv_type=kv_type) as session:
        session.append(IDS)
        assert session.page_keys(b"salt") == keys(kv_type=KV_NUMBERS[session.kv_type], salt=b"salt")
        with session.fork(2 * PAGE + 1) as fork:
            assert fork.page_keys() == session.page_keys()[:2]


def test_a_page_is_as_long_as_the_cores() -> None:
    with gemel.open(tiny_bytes(), threads=1) as model, model.session() as session:
        session.append(IDS[:PAGE])
        assert session.kv_pages[0] == 1
        session.append(IDS[:1])
        assert session.kv_pages[0] == 2


def test_sessions_that_choose_other_rope_tables_have_no_key_in_common() -> None:
    data = tiny_bytes(rope="longrope", n_ctx=512, rope_n_ctx_orig=128)
    found = []
    with gemel.open(data, threads=1) as model:
        for n_ctx in (128, 129):
            with model.session(n_ctx=n_ctx) as session:
                session.append(IDS[: 2 * PAGE])
                found.append(session.page_keys())
        assert found == [keys(IDS[: 2 * PAGE], kv_type=KV_NUMBERS[model.default_kv_type], rope_table=i) for i in (0, 1)]
    assert not set(found[0]) & set(found[1])


def test_a_salt_that_is_not_bytes_is_named() -> None:
    with (
        gemel.open(tiny_bytes(), threads=1) as model,
        model.session() as session,
        pytest.raises(gemel.ArgumentError, match=r"salt='text' \(str\): must be bytes"),
    ):
        session.page_keys("text")  # type: ignore[arg-type]
