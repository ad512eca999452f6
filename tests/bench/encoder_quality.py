"""How near gemel's embeddings are to sentence-transformers': cosines, tokens, and the same bits alone and together.

    python tests/bench/encoder_quality.py FOLDER FILE.gguf... --torch PYTHON [--weights NOMIC.gguf] [--kv f32]

FOLDER: the model for sentence-transformers. FILES: the same model, as make_encoder.py writes it in F32, F16 and Q8_0.
--weights takes the reference's weights from a file of nomic-bert, in F16 or F32, and only the tokenizer from FOLDER:
transformers computes it, and means its hidden states. --kv is the type of keys and values.
200 texts of 1 to some 400 tokens are embedded; 4000 drawn texts are tokenized. Files of Q8_0 must reach a cosine of
0.995, others 0.9999.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gemel

TEXTS = Path(__file__).resolve().parents[1] / "text"
N_TEXTS, N_DRAWN, MOST_WORDS = 200, 4000, 310
SIGNS = [*"ÀÉîñøßİΣςкЙが한글中文，。！?$^`~_-'\"", "a\u0301", "ﬁ", "Ａ", "\u00ad", "\u200b", "\x0b", "😀", "x" * 101]


def texts() -> list[str]:
    """Return texts of 1 word, of MOST_WORDS, and of numbers of words between them."""
    words = (TEXTS / "english.txt").read_text().split()
    rng = random.Random(3)
    sizes = [1 + i * (MOST_WORDS - 1) // (N_TEXTS - 1) for i in range(N_TEXTS)]
    starts = [rng.randrange(len(words) - size) for size in sizes]
    return [" ".join(words[at : at + size]) for at, size in zip(starts, sizes, strict=True)]


def drawn() -> list[str]:
    """Return texts of words of prose and code, in capitals too, of signs, and of letters of many languages."""
    words = [word for name in ("english.txt", "code.txt") for word in (TEXTS / name).read_text().split()]
    rng = random.Random(4)
    parts = [*words, *map(str.upper, words), *SIGNS * 20]
    return ["".join(rng.choice(parts) + rng.choice([" ", " ", "\n", ""]) for _ in range(rng.randint(1, 30)))
            for _ in range(N_DRAWN)]   # fmt: skip


def nomic(path: str) -> Any:  # noqa: ANN401
    """Return transformers' model of a file of nomic-bert."""
    sys.path.append(str(TEXTS.parent))
    from archs import ARCHS
    from gguf_file import read_gguf
    from golden.tensors import NOMIC
    from reference import unfused

    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    values, tensors = read_gguf(Path(path).read_bytes())
    said: dict[str, Any] = {key.removeprefix("nomic-bert."): value for key, value in values.items()}
    config = transformers.AutoConfig.for_model(
        "nomic_bert", vocab_size=len(said["tokenizer.ggml.tokens"]), hidden_size=said["embedding_length"],
        intermediate_size=said["feed_forward_length"], num_hidden_layers=said["block_count"],
        num_attention_heads=said["attention.head_count"], num_key_value_heads=said["attention.head_count"],
        max_position_embeddings=said["context_length"], layer_norm_eps=said["attention.layer_norm_epsilon"],
        type_vocab_size=said["tokenizer.ggml.token_type_count"],
        rope_parameters={"rope_type": "default", "rope_theta": said["rope.freq_base"]},
    )  # fmt: skip
    state = {}
    for name, tensor in unfused(tensors, ARCHS["nomic-bert"]).items():
        if ".attn_qkv." not in name:
            stem, _, kind = name.rpartition(".")
            blk, _, part = stem.rpartition(".")
            state[f"{NOMIC[part].format(blk.removeprefix('blk.'))}.{kind}"] = torch.from_numpy(tensor.floats().copy())
    model = transformers.AutoModel.from_config(config, dtype=torch.float32, add_pooling_layer=False).eval()
    model.load_state_dict(state, strict=True)
    return model


def reference_of(folder: str, weights: str) -> None:
    """Write the same of a model whose weights are in a GGUF file."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    tokenizer, model, rows = transformers.AutoTokenizer.from_pretrained(folder), nomic(weights), []
    with torch.no_grad():
        for text in texts():
            ids = torch.tensor([tokenizer(text, truncation=False)["input_ids"]])
            mean = model(ids).last_hidden_state[0].double().mean(dim=0)
            rows.append((mean / mean.norm()).tolist())
    json.dump({"rows": rows, "ids": tokenizer(drawn(), truncation=False)["input_ids"]}, out)


def reference(folder: str) -> None:
    """Write the rows of the texts, and the ids of those that are drawn."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    library: Any = importlib.import_module("sentence_transformers")
    model = library.SentenceTransformer(folder, device="cpu")
    model.max_seq_length = 512
    rows = model.encode(texts(), normalize_embeddings=True, show_progress_bar=False)
    ids = model.tokenizer(drawn(), truncation=False)["input_ids"]
    json.dump({"rows": rows.astype(float).tolist(), "ids": ids}, out)


def hidden(model: gemel.Model, ids: list[int], kv: gemel.KvType) -> Any:  # noqa: ANN401
    with model.session(kv_type=kv) as session:
        return session.hidden(ids)


def check(path: str, expected: dict[str, Any], kv: gemel.KvType | None) -> bool:
    """Compare a file, print what was found, and return whether it is near enough."""
    import gemel
    import numpy as np

    with gemel.open(path) as model:
        read = [model.tokenize(text, bos_eos=True) for text in texts()]
        lengths = [len(ids) for ids in read]
        rows = np.asarray(model.embed(texts()))
        alone = all(bytes(model.embed(text)) == bytes(row) for text, row in zip(texts(), rows, strict=True))
        ids = [model.tokenize(text, bos_eos=True) for text in drawn()]
        if kv is not None:
            rows = np.stack([gemel.pooled(hidden(model, one, kv)) for one in read])
    least = float((rows.astype(float) * np.asarray(expected["rows"])).sum(axis=1).min())
    alike = sum(own == other for own, other in zip(ids, expected["ids"], strict=True))
    enough = 0.995 if "Q8_0" in Path(path).name else 0.9999
    print(
        f"{Path(path).name}: least cosine {least:.6f} (at least {enough}) of {len(rows)} texts of {min(lengths)} to "
        f"{max(lengths)} tokens; tokens of {alike} of {len(ids)} drawn texts are equal; the same bits alone: {alone}"
    )
    return least >= enough and alike == len(ids) and alone


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--torch", help="a Python that has sentence-transformers", default=sys.executable)
    parser.add_argument("--weights", help="a file of nomic-bert that has the reference's weights", default="")
    parser.add_argument("--kv", choices=["f16", "f32"], help="the type of keys and values")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        reference_of(given.folder, given.weights) if given.weights else reference(given.folder)
    else:
        command = [given.torch, __file__, given.folder, "--weights", given.weights, "--work"]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        good = [check(path, found, given.kv) for path in given.files]
        sys.exit(not all(good))
