"""A chat template's text tells how its model writes reasoning and calls."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import hub_templates
import llama_vectors
import pytest
from gemel.dialect.dialect import Calls, Hole, each
from gemel.dialect.parts import ToolCall
from gemel.dialect.rows import CALLS, GENERIC, NONE, THOUGHTS, dialect_of
from gemel.dialect.writing import written
from gemel.text.forms import call_form, formed
from gemel.text.messages import plain
from gemel.text.template import compiled, template_values

WANTED = {
    "deepseek-r1-0528-qwen3-8b": ("deepseek-v3", "think"),
    "deepseek-r1-distill-llama-8b": ("deepseek-v3", "think"),
    "deepseek-r1-distill-qwen-7b": ("deepseek-v3", "think"),
    "deepseek-r1": ("deepseek-v3", "think"),
    "deepseek-v2.5": ("deepseek-v3", ""),
    "deepseek-v2": ("generic", ""),
    "deepseek-v3.1": ("deepseek-v3.1", "think"),
    "deepseek-v3": ("deepseek-v3", ""),
    "deepseek-vl2-small": ("generic", ""),
    "glm-4-32b-0414": ("glm4", ""),
    "glm-4-9b-0414": ("glm4", ""),
    "glm-4.5v": ("glm4.5", "think"),
    "glm-4.6v-flash": ("glm4.5", "think"),
    "glm-4.6v": ("glm4.5", "think"),
    "glm-4.7-flash": ("glm4.7", "think"),
    "glm-4": ("glm4", ""),
    "glm-5.1": ("glm4.7", "think"),
    "glm-5.2": ("glm4.7", "think"),
    "glm-5": ("glm4.7", "think"),
    "glm-z1-32b-0414": ("glm4", "think"),
    "glm-z1-9b-0414": ("glm4", "think"),
    "janusflow-1.3b": ("generic", ""),
    "jiutian-139moe-chat": ("generic", ""),
    "jt-coder-8b-base": ("hermes", ""),
    "jt-da-8b": ("hermes", ""),
    "jt-math-8b-instruct": ("hermes", ""),
    "minimax-m1-40k": ("minimax-m1", "think"),
    "minimax-m3": ("generic", "minimax-m3"),
    "minimax-text-01": ("generic", ""),
    "minimax": ("minimax-m2", "think"),
    "qwen-2.5": ("hermes", ""),
    "qwen-3.5": ("qwen3-coder", "think"),
    "qwen-3.6": ("qwen3-coder", "think"),
    "qwen-3": ("hermes", "think"),
    "qwen-vl": ("generic", ""),
    "qwen2-vl-2b-instruct-awq": ("generic", ""),
    "qwen2.5-72b-instruct-awq": ("hermes", ""),
    "qwen2.5-math-prm-7b": ("generic", ""),
    "qwen2.5-omni-3b": ("generic", ""),
    "qwen2.5-omni-7b-awq": ("generic", ""),
    "qwen2.5-vl-3b-instruct-awq": ("generic", ""),
    "qwen3-235b-a22b-mlx-4bit": ("hermes", "think"),
    "qwq-32b": ("hermes", "think"),
    "Apertus-8B-Instruct": ("apertus", "apertus"),
    "Apriel-1.6-15b-Thinker-fixed": ("tool-calls", "apriel"),
    "Bielik-11B-v3.0-Instruct": ("hermes", "think"),
    "ByteDance-Seed-OSS": ("seed", "seed"),
    "Cohere2MoE": ("command-r7b", "cohere"),
    "CohereForAI-c4ai-command-r-plus-tool_use": ("command-r", ""),
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": ("command-r7b", "command-r7b"),
    "GLM-4.6": ("glm4.5", "think"),
    "GLM-4.7-Flash": ("glm4.7", "think"),
    "GigaChat3-10B-A1.8B": ("gigachat3", ""),
    "GigaChat3.1-10B-A1.8B": ("gigachat3.1", ""),
    "HuggingFaceTB-SmolLM3-3B": ("generic", "think"),
    "Kimi-K2-Instruct": ("kimi-k2", ""),
    "Kimi-K2-Thinking": ("kimi-k2", "think"),
    "Kimi-K3": ("kimi-k3", "kimi-k3"),
    "LFM2-8B-A1B": ("lfm2", ""),
    "LFM2.5-8B-A1B": ("lfm2", "think"),
    "LFM2.5-Instruct": ("lfm2", "think"),
    "MiMo-VL": ("hermes", ""),
    "MiniMax-M1": ("minimax-m1", "think"),
    "MiniMax-M2": ("minimax-m2", "think"),
    "MiniMax-M3": ("generic", "minimax-m3"),
    "Mistral-Small-3.2-24B-Instruct-2506": ("mistral-ids", ""),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": ("qwen3-coder", "think"),
    "NVIDIA-Nemotron-Nano-v2": ("nemotron", "think"),
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": ("hermes", ""),
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": ("hermes", ""),
    "Qwen-QwQ-32B": ("hermes", "think"),
    "Qwen-Qwen2.5-7B-Instruct": ("hermes", ""),
    "Qwen-Qwen3-0.6B": ("hermes", "think"),
    "Qwen3-Coder": ("qwen3-coder", ""),
    "Qwen3.5-4B": ("qwen3-coder", "think"),
    "Reka-Edge": ("hermes", "think"),
    "Spark2.5": ("glm4.7", "think"),
    "StepFun3.5-Flash": ("qwen3-coder", "think"),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": ("deepseek-v3", "think"),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": ("deepseek-v3", "think"),
    "deepseek-ai-DeepSeek-V3.1": ("deepseek-v3.1", "think"),
    "deepseek-ai-DeepSeek-V3.2": ("deepseek-v3.2", "think"),
    "deepseek-ai-DeepSeek-V4-Flash-0731": ("deepseek-v4", "think"),
    "deepseek-ai-DeepSeek-V4": ("deepseek-v4", "think"),
    "fireworks-ai-llama-3-firefunction-v2": ("functools", ""),
    "google-gemma-2-2b-it": ("generic", ""),
    "google-gemma-4-31B-it-interleaved": ("gemma4", "gemma4"),
    "google-gemma-4-31B-it": ("gemma4", "gemma4"),
    "ibm-granite-granite-3.3-2B-Instruct": ("granite3", "granite3"),
    "ibm-granite-granite-4.0": ("hermes", ""),
    "ibm-granite-granite-4.1": ("hermes", ""),
    "inclusionai-ling-3.0-flash": ("ling", "think"),
    "llama-cpp-deepseek-r1": ("deepseek-v3", "think"),
    "llama-cpp-rwkv-world": ("generic", "think"),
    "meetkai-functionary-medium-v3.1": ("function-tag", ""),
    "meetkai-functionary-medium-v3.2": ("functionary", "functionary"),
    "meta-llama-Llama-3.1-8B-Instruct": ("llama3", ""),
    "meta-llama-Llama-3.2-3B-Instruct": ("llama3", ""),
    "meta-llama-Llama-3.3-70B-Instruct": ("llama3", ""),
    "microsoft-Phi-3.5-mini-instruct": ("generic", ""),
    "mistralai-Ministral-3-14B-Reasoning-2512": ("mistral-args", "bracketed"),
    "mistralai-Mistral-Nemo-Instruct-2407": ("mistral", ""),
    "moonshotai-Kimi-K2": ("kimi-k2", ""),
    "muse-glimmer": ("muse", "muse"),
    "openai-gpt-oss-120b": ("harmony", "harmony"),
    "openbmb-MiniCPM5-1B": ("minicpm5", "think"),
    "poolside-Laguna-S-2.1": ("glm4.7", "think"),
    "poolside-Laguna-XS-2.1": ("glm4.5", "think"),
    "poolside-Laguna-XS.2": ("glm4.5", "think"),
    "tencent-Hy3": ("hunyuan3", "hunyuan3"),
    "unsloth-Apriel-1.5": ("tool-calls", "apriel"),
    "unsloth-mistral-Devstral-Small-2507": ("mistral-args", ""),
    "upstage-Solar-Open-100B": ("solar", "solar"),
}
ROOT = Path(__file__).parents[2]
MARKED = [*CALLS, GENERIC]
TEXT, WHOLE = {"type": "string", "description": "it"}, {"type": "integer", "description": "how many"}
TOOLS = {
    "search": {"type": "object", "properties": {"query": TEXT, "limit": WHOLE}, "required": ["query"]},
    "clock": {"type": "object", "properties": {}},
}  # fmt: skip


@pytest.mark.model
def test_published_templates_tell_their_dialect(vocabularies: Path, hub_template_folder: Path) -> None:
    found = {}
    for path in [*llama_vectors.templates(vocabularies), *hub_templates.templates(hub_template_folder)]:
        dialect = dialect_of(path.read_text(encoding="utf-8"), has_tools=True)
        assert dialect.calls is not None
        found[path.stem] = (dialect.calls.name, dialect.thoughts.name)
    assert found == WANTED


CALLED: list[list[tuple[str, dict[str, Any]]]] = [
    [("search", {"query": "a b", "limit": 3})], [("clock", {})], [("search", {"query": "a b"}), ("clock", {})],
]   # fmt: skip


def rendered(text: str, made: list[ToolCall]) -> str:
    """Return what a template makes of a conversation that ends with calls."""
    tools = [
        {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}
        for name, parameters in TOOLS.items()
    ]  # fmt: skip
    messages = plain([
        {"role": "user", "content": "Do it"},
        {"role": "assistant", "content": "", "tool_calls": [call.as_json() for call in made]},
    ])   # fmt: skip
    values = {**template_values(tools, {}), "add_generation_prompt": False, "bos_token": "", "eos_token": "</s>"}
    return compiled(text).render(formed(text, messages), **values)


def bare(text: str) -> str:
    """Return it without what dialects are free in: the kind of quotes, and spaces between parts of calls."""
    return "".join(text.replace('"', "'").split())


@pytest.mark.model
@pytest.mark.long
def test_calls_are_written_as_templates_write_them(vocabularies: Path, hub_template_folder: Path) -> None:
    n, others = 0, set()
    for path in [*llama_vectors.templates(vocabularies), *hub_templates.templates(hub_template_folder)]:
        text = path.read_text(encoding="utf-8")
        calls, form = dialect_of(text, has_tools=True).calls, call_form(text)
        assert calls is not None
        for called in CALLED if form.reads and calls != GENERIC else []:
            if len(called) > 1 and (form.in_turn or calls.is_single):
                continue
            made = [
                ToolCall(i, f"call0000{i}", name, json.dumps(values)) for i, (name, values) in enumerate(called)
            ]  # fmt: skip
            shown, ways = rendered(text, made), [written(calls, made, TOOLS, which=which) for which in range(3)]
            n += 1
            if not any(way in shown for way in ways):
                others.add(path.stem)
                assert bare(ways[0]) in bare(shown)
    assert others == {"LFM2.5-8B-A1B", "CohereForAI-c4ai-command-r-plus-tool_use", "StepFun3.5-Flash"}
    assert n > 200


def test_a_template_that_says_nothing_gets_the_generic_dialect() -> None:
    dialect = dialect_of("{{ messages[0].content }}", has_tools=True)
    assert (dialect.calls, dialect.thoughts) == (GENERIC, NONE)
    assert dialect_of("{{ messages[0].content }}", has_tools=False).calls is None


def test_rows_have_names_of_their_own() -> None:
    for rows in (MARKED, [*THOUGHTS, NONE]):
        names = [row.name for row in rows]
        assert len(set(names)) == len(names)
    told = [texts for row in CALLS for texts in row.told_by]
    assert len(set(told)) == len(told)


def test_the_manual_has_all_dialects() -> None:
    manual = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
    table = manual.partition("\n| Dialect |")[2].partition("\n\n")[0].splitlines()
    named = [name for line in table if line.startswith("| `") for name in re.findall("`(.*?)`", line.split("|")[1])]
    assert sorted(named) == sorted(row.name for row in MARKED)


def test_what_closes_a_text_is_found_where_it_begins() -> None:
    sections = {section for row in THOUGHTS for section in (*row.leads, row.text)}
    values = [getattr(row.encoding, name, "") for row in CALLS for name in ("closes", "quote")]
    for closes in filter(None, [*values, *(section.closes for section in sections)]):
        for n in range(1, len(closes)):
            assert not closes.endswith(closes[:n]), f"{closes!r} overlaps itself"


@pytest.mark.parametrize("calls", MARKED, ids=lambda calls: calls.name)
def test_calls_begin_with_what_marks_them(calls: Calls) -> None:
    begins = calls.openers(["a", "b"])
    heads = [opens + head for opens in each(calls.opens) for head in calls.heads(["a", "b"])]
    for head in heads:
        assert any(head.startswith(one) for one in begins), (head, begins)


@pytest.mark.parametrize("calls", MARKED, ids=lambda calls: calls.name)
def test_what_differs_is_between_texts(calls: Calls) -> None:
    assert calls.pieces.count(Hole.ARGUMENTS) == 1
    for one, next_one in itertools.pairwise([*calls.pieces, *([calls.closes] if calls.closes else [])]):
        if one is Hole.NAME or one is Hole.ID:
            assert next_one is Hole.ARGUMENTS or not isinstance(next_one, Hole)
    assert (Hole.ID in calls.pieces) == bool(calls.id)
