"""One GGUF's weights as each engine wants them: the file's own, requantised to Q8_0 and Q4_0, and as ONNX.

`make(kind, source, folder)` returns the file, or for ONNX the folder of a transformers.js model, and makes it once.
The ONNX graphs are written here from the GGUF's tensors and give the logits of the last position only. q8 and q4 use
ONNX Runtime's fused attention (GroupQueryAttention with the rotation inside), which decodes faster in its WebAssembly;
q8-plain has attention in single operators, as exporters write it, which evaluates prompts faster there.
GGUF files are made of any family, ONNX only of a llama with SmolLM2's tokenizer: `no_onnx` says why not.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import compare_models
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
OWN = "own"   # the file as it is
GGUF_KINDS = (OWN, "Q4_0", "Q8_0")
ONNX_KINDS = {   # the file's name says which dtype it is to transformers.js
    "q8": "model_quantized.onnx", "q8-plain": "model_quantized.onnx", "q4": "model_q4.onnx",
}   # fmt: skip


def make(kind: str, source: Path, folder: Path) -> Path:
    """Return the model in that kind, made when `folder` lacks it; the source's own kind is the source."""
    if kind in ONNX_KINDS:
        return _make_onnx(kind, source, folder)
    if kind == name_of(source):
        return source
    out = folder / f"{compare_models.stem_of(source)}.{kind}.gguf"
    if not out.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _requantise(source, out, kind)
    return out


def name_of(source: Path) -> str:
    """Return what a file's mix of formats is called (Q4_K_M), or the format of most of its matrices."""
    import gemel
    from gguf import LlamaFileType

    with gemel.inspect(source) as gguf:
        type_ = gguf.metadata.get("general.file_type")
        if isinstance(type_, int) and type_ in set(LlamaFileType):
            return LlamaFileType(type_).name.removeprefix("MOSTLY_").removeprefix("ALL_")
        types = [tensor.format for tensor in gguf.tensors if len(tensor.shape) == 2]
    return max(set(types), key=types.count)


def no_onnx(source: Path) -> str | None:
    """Return why the file can't become ONNX here; None where it can."""
    import gemel

    with gemel.inspect(source) as gguf:
        arch = gguf.metadata.get("general.architecture")
        tokenizer = gguf.metadata.get("tokenizer.ggml.model"), gguf.metadata.get("tokenizer.ggml.pre")
    if arch != "llama":
        return f"its architecture is {arch}, the graph that is written here is llama's"
    return None if tokenizer == ("gpt2", "smollm") else f"its tokenizer is {tokenizer[0]} ({tokenizer[1]})"


def _unfinished(path: Path) -> Path:
    return path.with_name("unfinished-" + path.name)


def _requantise(source: Path, out: Path, kind: str) -> None:
    """Write a copy with every matrix in one format; token_embd, which may be the output too, stays Q8_0."""
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

    reader = GGUFReader(source)
    writer = GGUFWriter(_unfinished(out), reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_array(field.name, field.contents())
        else:
            writer.add_key_value(field.name, field.contents(), field.types[0])
    for tensor in reader.tensors:
        weights = quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if weights.ndim != 2 or weights.shape[1] % 32 or tensor.name == "position_embd.weight":
            writer.add_tensor(tensor.name, weights)
        else:
            type_ = GGMLQuantizationType["Q8_0" if tensor.name == "token_embd.weight" else kind]
            writer.add_tensor(tensor.name, quants.quantize(weights, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    _unfinished(out).rename(out)


# ---- ONNX ------------------------------------------------------------------------------------------------------------


def _make_onnx(kind: str, source: Path, folder: Path) -> Path:
    """Return folder/onnx-KIND, which holds the configuration, the tokenizer and onnx/<file>."""
    if why := no_onnx(source):
        raise SystemExit(f"no ONNX of {source.name}: {why}")
    out = folder / f"onnx-{kind}"
    if out.is_dir():
        return out
    work = _unfinished(out)
    shutil.rmtree(work, ignore_errors=True)
    (work / "onnx").mkdir(parents=True)
    values, tensors = _read(source)
    _write_configuration(values, work)
    _write_tokenizer(values, work)
    graph = (_PlainGraph if kind == "q8-plain" else _Graph)(values, tensors)
    (_to_q4 if kind == "q4" else _to_q8)(graph.model(), work / "onnx" / ONNX_KINDS[kind])
    work.rename(out)
    return out


def _read(source: Path) -> tuple[dict[str, Any], dict[str, Floats]]:
    from gguf import GGUFReader, quants

    reader = GGUFReader(source)
    values = {field.name: field.contents() for field in reader.fields.values()}
    tensors = {t.name: quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    return values, tensors


def _write_configuration(values: dict[str, Any], folder: Path) -> None:
    ids = {name: int(values[f"tokenizer.ggml.{name}"]) for name in ("bos_token_id", "eos_token_id")}
    n_head, n_embd = int(values["llama.attention.head_count"]), int(values["llama.embedding_length"])
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", **ids,
        "hidden_size": n_embd, "intermediate_size": int(values["llama.feed_forward_length"]),
        "num_hidden_layers": int(values["llama.block_count"]), "num_attention_heads": n_head,
        "num_key_value_heads": int(values["llama.attention.head_count_kv"]), "head_dim": n_embd // n_head,
        "max_position_embeddings": int(values["llama.context_length"]), "vocab_size": int(values["llama.vocab_size"]),
    }   # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({**ids, "pad_token_id": ids["eos_token_id"]}))
    tokens = values["tokenizer.ggml.tokens"]
    names = {"bos_token": tokens[ids["bos_token_id"]], "eos_token": tokens[ids["eos_token_id"]]}
    written = {"tokenizer_class": "GPT2Tokenizer", "clean_up_tokenization_spaces": False, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(written))


def _write_tokenizer(values: dict[str, Any], folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    merges = [(left, right) for left, right in (merge.split(" ") for merge in values["tokenizer.ggml.merges"])]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(values["tokenizer.ggml.tokens"])}, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))


class _Graph:
    """A llama as an ONNX graph: input_ids, attention_mask and past_key_values in, logits and present out."""

    def __init__(self, values: dict[str, Any], tensors: dict[str, Floats]) -> None:
        from onnx import helper

        self._helper = helper
        self._tensors = tensors
        self._nodes: list[Any] = []
        self._constants: dict[str, npt.NDArray[Any]] = {}
        self._n_layer = int(values["llama.block_count"])
        self._n_head = int(values["llama.attention.head_count"])
        self._n_head_kv = int(values["llama.attention.head_count_kv"])
        self._head_dim = int(values["llama.embedding_length"]) // self._n_head
        self._n_vocab = int(values["llama.vocab_size"])
        self._n_ctx = min(int(values["llama.context_length"]), 4096)
        self._eps = float(values["llama.attention.layer_norm_rms_epsilon"])
        self._freq_base = float(values["llama.rope.freq_base"])

    def model(self) -> Any:  # noqa: ANN401
        """Return the whole model in float32."""
        self._positions()
        embedded = self._node("Gather", [self._constant("token_embd", self._tensors["token_embd.weight"]), "input_ids"])
        x = embedded   # [batch][sequence][n_embd]
        for il in range(self._n_layer):
            x = self._layer(il, x)
        head = self._tensors.get("output.weight", self._tensors["token_embd.weight"])
        last = self._node("Gather", [x, self._integers("last", -1)], axis=1)
        normed = self._norm(last, "output_norm.weight")
        self._node("MatMul", [normed, self._constant("output", head.T)], out=["logits"])
        return self._finish()

    def _layer(self, il: int, x: str) -> str:
        normed = self._norm(x, f"blk.{il}.attn_norm.weight")
        heads = [self._linear(normed, f"blk.{il}.attn_{which}.weight") for which in "qkv"]
        attended = self._attend(il, *heads)
        x = self._node("Add", [x, self._linear(attended, f"blk.{il}.attn_output.weight")])
        normed = self._norm(x, f"blk.{il}.ffn_norm.weight")
        gate, up = (self._linear(normed, f"blk.{il}.ffn_{which}.weight") for which in ("gate", "up"))
        activated = self._node("Mul", [self._node("Mul", [gate, self._node("Sigmoid", [gate])]), up])
        return self._node("Add", [x, self._linear(activated, f"blk.{il}.ffn_down.weight")])

    def _attend(self, il: int, q: str, k: str, v: str) -> str:
        past = [f"past_key_values.{il}.key", f"past_key_values.{il}.value"]
        return self._node(
            "GroupQueryAttention", [q, k, v, *past, "last_position", "total_length", "cos", "sin"],
            out=[f"attention.{il}", f"present.{il}.key", f"present.{il}.value"], domain="com.microsoft",
            num_heads=self._n_head, kv_num_heads=self._n_head_kv, do_rotary=1, rotary_interleaved=1,
        )   # fmt: skip

    def _positions(self) -> None:
        """total_length, of cache and input together, and the last position in it, as GroupQueryAttention wants them."""
        one = self._integers("one", 1)
        summed = self._node("ReduceSum", ["attention_mask", one], keepdims=0)
        self._node("Cast", [self._node("Sub", [summed, one])], out=["last_position"], to=6)
        shape = self._node("Shape", ["attention_mask"])
        length = self._node("Gather", [shape, self._constant("index_one", np.array(1, np.int64))])
        self._node("Cast", [length], out=["total_length"], to=6)
        angles = self._angles()
        self._constant("cos", np.cos(angles).astype(np.float32))
        self._constant("sin", np.sin(angles).astype(np.float32))

    def _angles(self) -> npt.NDArray[np.float64]:
        exponents = np.arange(0, self._head_dim, 2) / self._head_dim
        return np.outer(np.arange(self._n_ctx), self._freq_base**-exponents)   # [n_ctx][head_dim / 2]

    def _norm(self, x: str, name: str) -> str:
        scale = self._constant(name, self._tensors[name])
        return self._node("SimplifiedLayerNormalization", [x, scale], axis=-1, epsilon=self._eps)

    def _linear(self, x: str, name: str) -> str:
        return self._node("MatMul", [x, self._constant(name, self._tensors[name].T)])

    def _integers(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, np.int64))

    def _constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self._constants[name] = np.ascontiguousarray(value)
        return name

    def _node(
        self, kind: str, inputs: list[str], *, out: list[str] | None = None, domain: str = "",
        **attributes: Any,  # noqa: ANN401
    ) -> str:
        out = out or [f"{kind}.{len(self._nodes)}"]
        name = f"{kind}.{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(kind, inputs, out, name=name, domain=domain, **attributes))
        return out[0]

    def _finish(self) -> Any:  # noqa: ANN401
        from onnx import TensorProto, numpy_helper

        def value(name: str, type_: int, *shape: str | int) -> Any:  # noqa: ANN401
            return self._helper.make_tensor_value_info(name, type_, shape)

        real, integer = TensorProto.FLOAT, TensorProto.INT64
        inputs = [value("input_ids", integer, "batch_size", "sequence_length")]
        inputs.append(value("attention_mask", integer, "batch_size", "total_sequence_length"))
        outputs = [value("logits", real, "batch_size", 1, self._n_vocab)]
        for il in range(self._n_layer):
            for part in ("key", "value"):
                shape = ("batch_size", self._n_head_kv, "past_sequence_length", self._head_dim)
                inputs.append(value(f"past_key_values.{il}.{part}", real, *shape))
                shape = ("batch_size", self._n_head_kv, "total_sequence_length", self._head_dim)
                outputs.append(value(f"present.{il}.{part}", real, *shape))
        constants = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = self._helper.make_graph(self._nodes, "llama", inputs, outputs, constants)
        versions = [self._helper.make_opsetid("", 17), self._helper.make_opsetid("com.microsoft", 1)]
        return self._helper.make_model(graph, opset_imports=versions, ir_version=10)


class _PlainGraph(_Graph):
    """The same with attention in single operators, as exporters write it; position_ids go in as well."""

    def _positions(self) -> None:
        """cos and sin of the input's positions [batch][1][sequence][head_dim]; a mask [sequence][total]."""
        for name, function in (("cos", np.cos), ("sin", np.sin)):
            both = np.concatenate([function(self._angles())] * 2, axis=1).astype(np.float32)
            rows = self._node("Gather", [self._constant(f"{name}_table", both), "position_ids"])
            self._node("Unsqueeze", [rows, self._integers("axis_one", 1)], out=[name])
        total, sequence = (
            self._node("Gather", [self._node("Shape", [name]), self._integers("second", 1)])
            for name in ("attention_mask", "input_ids")
        )
        shape = self._node("Concat", [sequence, total], axis=0)
        full = self._node("Expand", [self._constant("lowest", np.array(-1e9, np.float32)), shape])
        above = self._node("Add", [self._node("Sub", [total, sequence]), self._integers("one", 1)])
        above = self._node("Squeeze", [above])
        self._node("Trilu", [full, above], out=["mask"], upper=1)

    def _attend(self, il: int, q: str, k: str, v: str) -> str:
        q = self._rotate(self._heads(q, self._n_head))
        k, v = self._rotate(self._heads(k, self._n_head_kv)), self._heads(v, self._n_head_kv)
        k = self._node("Concat", [f"past_key_values.{il}.key", k], out=[f"present.{il}.key"], axis=2)
        v = self._node("Concat", [f"past_key_values.{il}.value", v], out=[f"present.{il}.value"], axis=2)
        keys = self._node("Transpose", [self._repeated(k)], perm=[0, 1, 3, 2])
        scale = self._constant("scale", np.array(self._head_dim**-0.5, np.float32))
        scores = self._node("Mul", [self._node("MatMul", [q, keys]), scale])
        weights = self._node("Softmax", [self._node("Add", [scores, "mask"])], axis=-1)
        mixed = self._node("Transpose", [self._node("MatMul", [weights, self._repeated(v)])], perm=[0, 2, 1, 3])
        return self._node("Reshape", [mixed, self._integers("joined", 0, 0, self._n_head * self._head_dim)])

    def _linear(self, x: str, name: str) -> str:
        """Queries' and keys' rows go back from pairs that lie together to halves."""
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            weight = self._tensors[name]
            pairs = weight.reshape(-1, self._head_dim // 2, 2, weight.shape[1])
            self._tensors[name] = pairs.swapaxes(1, 2).reshape(weight.shape)
        return super()._linear(x, name)

    def _heads(self, x: str, n: int) -> str:
        split = self._node("Reshape", [x, self._integers(f"heads_{n}", 0, 0, n, self._head_dim)])
        return self._node("Transpose", [split], perm=[0, 2, 1, 3])   # [batch][n][sequence][head_dim]

    def _rotate(self, x: str) -> str:
        half = self._head_dim // 2
        low, high = (
            self._node("Slice", [x, *(self._integers(f"at_{at}", at) for at in (start, start + half)), "axis_three"])
            for start in (0, half)
        )
        turned = self._node("Concat", [self._node("Neg", [high]), low], axis=-1)
        return self._node("Add", [self._node("Mul", [x, "cos"]), self._node("Mul", [turned, "sin"])])

    def _repeated(self, x: str) -> str:
        """Return each KV head once for every query head that reads it."""
        group = self._n_head // self._n_head_kv
        apart = self._node("Unsqueeze", [x, self._integers("axis_two", 2)])
        wide = self._node("Expand", [apart, self._integers("group", 1, 1, group, 1, 1)])
        return self._node("Reshape", [wide, self._integers("grouped", 0, self._n_head, -1, self._head_dim)])

    def _finish(self) -> Any:  # noqa: ANN401
        from onnx import TensorProto

        self._integers("axis_three", 3)
        model = super()._finish()
        shape = ("batch_size", "sequence_length")
        model.graph.input.append(self._helper.make_tensor_value_info("position_ids", TensorProto.INT64, shape))
        return model


def _to_q8(model: Any, out: Path) -> None:  # noqa: ANN401
    """int8 weights, activations quantised as they come: ONNX Runtime's dynamic quantisation."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    options = {"DefaultTensorType": 1, "MatMulConstBOnly": True}   # float32 past operators it knows no types of
    kinds = ["MatMul", "Gather"]
    quantize_dynamic(model, out, weight_type=QuantType.QInt8, op_types_to_quantize=kinds, extra_options=options)


def _to_q4(model: Any, out: Path) -> None:  # noqa: ANN401
    """4-bit weights in blocks of 32, activations as int8 inside the operator (accuracy level 4)."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(model, block_size=32, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    quantizer.model.save_model_to_file(str(out))
