"""Many clients, of whom a third leave: each answer is the one that came first, and the server stays as it was."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
import tiny
from conftest import CHATML
from soak import Process, soak
from web_server import Server

N = 1500


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_many_clients_get_their_answers_and_leave_nothing(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(tiny.tiny_llama(chat_template=CHATML, n_ctx=2048))
    with Server(file, "--no-page", "--cache-memory", "20", "--queue", "8", "--parallel", "12") as server:
        url = f"http://127.0.0.1:{server.port}"
        report = asyncio.run(soak(url, Process(server.process.pid), n=N, n_clients=24))
        assert report.problems == []
        assert set(report.ended) <= {"right", "cancelled", "refused"}
        assert report.ended.total() == N + 5
        assert report.ended["right"] > N / 3
        assert report.ended["refused"] > 0   # 24 clients, room for 20
        assert report.after["threads"] <= report.before["threads"]
        assert report.after["descriptors"] <= report.before["descriptors"] + 24   # connections that are kept open
        assert report.after["rss_kb"] <= 1.05 * report.before["rss_kb"]
