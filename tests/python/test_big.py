"""A model of 8 billion weights. Only when asked for: pytest -m huge tests/python (6 GB of memory, 5 of disk)."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import big
import gemel
import pytest
from command import environment

MEMORY = 1.1   # of the file's size
PROGRAM = """
import json, sys
import gemel

def size(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) * 1024

with gemel.open(sys.argv[1], threads=2) as model:
    opened, generation = size("VmRSS"), model.generate("The capital of France is", max_tokens=16, temperature=0)
    generation.read()
    print(json.dumps([opened, size("VmRSS"), size("VmHWM"), len(generation.ids), model.n_params, model.isa]))
"""


@pytest.mark.slow
@pytest.mark.huge
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc/self/status")
def test_eight_billion_weights_open_in_little_more_than_the_files_size_and_decode(tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    big.big_model(big.LLAMA_3_8B).write_to(path)
    size = path.stat().st_size
    assert 4.8e9 < size < 5.1e9
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], env=environment(), capture_output=True, text=True, check=True
    )
    opened, generated, peak, n_ids, n_params, isa = json.loads(done.stdout)
    print(f"file {size:,}; resident when opened {opened:,}, after 16 tokens {generated:,}, at most {peak:,} ({isa})")
    assert (n_ids, round(n_params / 1e9)) == (16, 8)
    assert max(opened, generated, peak) <= MEMORY * size, (size, opened, generated, peak)


def test_big_files_mix_formats_as_q4_k_m_does() -> None:
    shape = big.Shape(16, 512, 4, 2, 1024, 600)
    with gemel.inspect(big.big_model(shape)[:]) as gguf:
        better = [t.name for t in gguf.tensors if t.format == "Q6_K"]
        assert [t.format for t in gguf.tensors if t.name == "token_embd.weight"] == ["Q4_K"]
    layers = (0, 1, 4, 7, 10, 13, 14, 15)
    expected = [f"blk.{il}.{name}.weight" for il in layers for name in ("attn_v", "ffn_down")]
    assert better == [*expected, "output.weight"]
    with gemel.open(big.big_model(shape)[:], threads=1) as model:
        assert model.detokenize(model.tokenize("Two bytes at a time")) == "Two bytes at a time"
        with model.session(n_ctx=8) as session:
            session.append([5, 6])
            assert len(set(session.logits())) > 500


def test_big_files_of_rwkv_decode() -> None:
    shape = replace(big.RWKV7_04B, n_layer=2, n_embd=256, n_head=4, n_head_kv=4, n_ff=512, n_vocab=600)
    with gemel.open(big.big_model(shape)[:], threads=1) as model, model.session(n_ctx=8) as session:
        assert (model.arch, model.detokenize(model.tokenize("Two bytes"))) == ("rwkv7", "Two bytes")
        session.append([5, 6])
        assert len(set(session.logits())) > 500
