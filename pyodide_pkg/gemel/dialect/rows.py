"""The dialects that are known: a row for each way to write calls, and for each way to mark reasoning.

The first row whose texts a template has is the template's. What models write is in the notes of their makers and
in what their templates make of earlier calls.
"""

from __future__ import annotations

from .dialect import Calls, Dialect, Hole, Section, Thoughts, is_told

NAME, ARGUMENTS, ID = Hole.NAME, Hole.ARGUMENTS, Hole.ID
NINE = "[a-zA-Z0-9]{9}"   # an id of Mistral's
COUNTED = "[0-9]{1,3}"

GENERIC = Calls(   # for templates that know no tools
    "generic", (), ('<tool_call>\n{"name": "', NAME, '", "arguments": ', ARGUMENTS, "}\n</tool_call>"),
    marker="<tool_call>", between="\n",
)  # fmt: skip
CALLS = (
    Calls(   # gpt-oss
        "harmony", (("<|channel|>", "<|constrain|>"), ("<|channel|>", "<|message|>", "<|call|>")),
        ("<|channel|>commentary to=functions.", NAME, " <|constrain|>json<|message|>", ARGUMENTS, "<|call|>"),
        marker="<|channel|>commentary to=functions.", follows_text=False, is_single=True,
    ),
    Calls(   # Mistral since v13: Devstral, Magistral, Ministral 3
        "mistral-args", (("[TOOL_CALLS]", "[ARGS]"),), ("[TOOL_CALLS]", NAME, "[ARGS]", ARGUMENTS),
        marker="[TOOL_CALLS]",
    ),
    Calls(   # Mistral v3 to v7: Nemo, Small
        "mistral", (("[TOOL_CALLS]",),),
        ('{"name": "', NAME, '", "arguments": ', ARGUMENTS, ', "id": "', ID, '"}'),
        marker="[TOOL_CALLS]", opens="[TOOL_CALLS][", between=", ", closes="]", id=NINE,
    ),
    Calls(   # DeepSeek V3, R1
        "deepseek-v3", (("<\uff5ctool\u2581calls\u2581begin\uff5c>", "```json"),),
        (
            "<\uff5ctool\u2581call\u2581begin\uff5c>function<\uff5ctool\u2581sep\uff5c>", NAME, "\n```json\n",
            ARGUMENTS, "\n```<\uff5ctool\u2581call\u2581end\uff5c>",
        ),
        marker="<\uff5ctool\u2581calls\u2581begin\uff5c>", opens="<\uff5ctool\u2581calls\u2581begin\uff5c>",
        between="\n", closes="<\uff5ctool\u2581calls\u2581end\uff5c>",
    ),
    Calls(   # DeepSeek V3.1
        "deepseek-v3.1", (("<\uff5ctool\u2581calls\u2581begin\uff5c>",),),
        (
            "<\uff5ctool\u2581call\u2581begin\uff5c>", NAME, "<\uff5ctool\u2581sep\uff5c>", ARGUMENTS,
            "<\uff5ctool\u2581call\u2581end\uff5c>",
        ),
        marker="<\uff5ctool\u2581calls\u2581begin\uff5c>", opens="<\uff5ctool\u2581calls\u2581begin\uff5c>",
        closes="<\uff5ctool\u2581calls\u2581end\uff5c>",
    ),
    Calls(   # Command R7B, Command A
        "command-r7b", (("<|START_ACTION|>", "tool_call_id"),),
        ('{"tool_call_id": "', ID, '", "tool_name": "', NAME, '", "parameters": ', ARGUMENTS, "}"),
        marker="<|START_ACTION|>", opens="<|START_ACTION|>[\n    ", between=",\n    ", closes="\n]<|END_ACTION|>",
        id=COUNTED, follows_text=False,
    ),
    Calls(   # Command R, R+
        "command-r", (("Action:", "```json", "tool_name"),),
        ('{\n        "tool_name": "', NAME, '",\n        "parameters": ', ARGUMENTS, "\n    }"),
        marker="Action:", opens="Action:\n```json\n[\n    ", between=",\n    ", closes="\n]\n```",
    ),
    Calls(   # Hermes, Qwen2.5, Qwen3, Granite 4, SmolLM3, MiMo
        "hermes",
        (("<tool_call>", '"arguments"'), ("<tool_call>", "<args-json-object>"), ("<tool_call>", "'arguments'")),
        GENERIC.pieces, marker="<tool_call>", between="\n",
    ),
    Calls(   # functionary v3.2
        "functionary", ((">>>all", ">>>"),), (">>>", NAME, "\n", ARGUMENTS),
        marker=">>>",
    ),
    Calls(   # functionary v3.1
        "function-tag", (("<function=", "</function>", "<|python_tag|>"),),
        ("<function=", NAME, ">", ARGUMENTS, "</function>"), marker="<function=",
    ),
    Calls(   # Llama 3.1, 3.2, 3.3
        "llama3", (('{"name": function name, "parameters":',), ("<|python_tag|>", "Environment: ipython")),
        ('{"name": "', NAME, '", "parameters": ', ARGUMENTS, "}"), marker='{"',
        leads=True, follows_text=False, is_single=True,
    ),
    Calls(   # Phi-4-mini
        "phi4", (("<|tool_call|>", "<|/tool_call|>"), ("<|tool|>", "<|/tool|>")),
        ('{"name": "', NAME, '", "arguments": ', ARGUMENTS, "}"),
        marker="<|tool_call|>", opens="<|tool_call|>[", between=", ", closes="]<|/tool_call|>",
    ),
    Calls(   # Granite 3
        "granite3", (("<|tool_call|>",),),
        ('{"name": "', NAME, '", "arguments": ', ARGUMENTS, "}"),
        marker="<|tool_call|>", opens="<|tool_call|>[", between=", ", closes="]",
    ),
)  # fmt: skip

HARMONY = Thoughts(
    "harmony", (("<|channel|>", "<|message|>"),),
    (
        Section("reasoning", "<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
        Section("text", "<|channel|>commentary<|message|>", "<|end|><|start|>assistant"),
    ),
    Section("text", "<|channel|>final<|message|>"),
)  # fmt: skip
THOUGHTS = (
    HARMONY,
    Thoughts(
        "command-r7b", (("<|START_THINKING|>", "<|START_RESPONSE|>"),),
        (Section("reasoning", "<|START_THINKING|>", "<|END_THINKING|>"),),
        Section("text", "<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ),
    Thoughts("functionary", ((">>>all",),), text=Section("text", ">>>all\n"), begun=">>>"),
    Thoughts("bracketed", (("[THINK]", "[/THINK]"),), (Section("reasoning", "[THINK]", "[/THINK]"),)),
    Thoughts("seed", (("<seed:think>",),), (Section("reasoning", "<seed:think>", "</seed:think>"),)),
    Thoughts("think", (("<think>", "</think>"),), (Section("reasoning", "<think>", "</think>"),)),
)  # fmt: skip
NONE = Thoughts("none", ())


def dialect_of(template: str, *, has_tools: bool) -> Dialect:
    """Return the dialect that a template's text asks for."""
    thoughts = next((row for row in THOUGHTS if is_told(row.told_by, template)), NONE)
    if not has_tools:
        return Dialect(None, thoughts)
    return Dialect(next((row for row in CALLS if is_told(row.told_by, template)), GENERIC), thoughts)
