"""The dialects that are known: a row for each way to write calls, and for each way to mark reasoning.

The first row whose texts a template has is the template's. What models write is in the notes of their makers and
in what their templates make of earlier calls.
"""

from __future__ import annotations

from dataclasses import replace

from ..core.json_value import KINDS
from .dialect import Calls, Dialect, Hole, Section, Thoughts, is_told
from .literals import Bare, Keywords
from .tagged import Tagged

NAME, ARGUMENTS, ID = Hole.NAME, Hole.ARGUMENTS, Hole.ID
NINE, TEN = "[a-zA-Z0-9]{9}", "[a-zA-Z0-9]{9,10}"   # ids of Mistral's and Solar's
COUNTED, FROM_ONE = "[0-9]{1,3}", "[1-9][0-9]{0,2}"
OBJECT = ('{"name": "', NAME, '", "arguments": ', ARGUMENTS, "}")


def _deepseek(name: str) -> str:
    """Return a token of DeepSeek's."""
    return "<\uff5c" + name.replace(" ", "\u2581") + "\uff5c>"


def _compact(opens: str, between: str = "") -> Tagged:
    """Return GLM's tags, or those like them: opens and between are what is around the values."""
    return Tagged("<arg_key>", f"</arg_key>{opens}<arg_value>", "</arg_value>", after=between)


DEEPSEEK_OPENS, DEEPSEEK_CLOSES = _deepseek("tool calls begin"), _deepseek("tool calls end")
DSML = "\uff5cDSML\uff5c"
DSML_TAGS = Tagged(
    f'<{DSML}parameter name="', '" string="false">', f"</{DSML}parameter>", after="\n",
    middles=(("string", '" string="true">'),),
)  # fmt: skip
GENERIC = Calls(   # for templates that know no tools; MiniMax M3's tags within tags are not supported
    "generic", (("]<]minimax[>[",),),
    ('<tool_call>\n{"name": "', NAME, '", "arguments": ', ARGUMENTS, "}\n</tool_call>"),
    marker="<tool_call>", between="\n", may_be_bare=True,
)  # fmt: skip
CALLS = (
    Calls(   # gpt-oss
        "harmony", (("<|channel|>",),),
        (
            ("<|channel|>commentary to=functions.", "to=functions."), NAME,
            (" <|constrain|>json<|message|>", "<|channel|>commentary json<|message|>",
             "<|channel|>commentary <|constrain|>json<|message|>"), ARGUMENTS, "<|call|>",
        ),
        marker=("<|channel|>commentary to=functions.", "to=functions."), follows_text=False, is_single=True,
    ),
    Calls(   # Muse
        "muse", (("<atem:function_calls>",),),
        (
            NAME, '<|message|><atem:function_calls>\n<atem:invoke name="', NAME, '">\n', ARGUMENTS,
            "</atem:invoke>\n</atem:function_calls>",
        ),
        opens="to=", between="<|eom|><|start|>assistant to=", follows_text=False,
        encoding=Tagged('<atem:parameter name="', '">', "</atem:parameter>", after="\n"),
    ),
    Calls(   # functionary v3.2
        "functionary", ((">>>all", ">>>"),), (">>>", NAME, "\n", ARGUMENTS), marker=">>>",
    ),
    Calls(   # functionary v3.1
        "function-tag", (("<function=", "<|eom_id|>"), ("<function=", "<|python_tag|>")),
        ("<function=", NAME, ">", ARGUMENTS, "</function>"), marker="<function=",
    ),
    Calls(   # Kimi K2
        "kimi-k2", (("<|tool_calls_section_begin|>",),),
        (
            "<|tool_call_begin|>functions.", NAME, ":", ID, "<|tool_call_argument_begin|>", ARGUMENTS,
            "<|tool_call_end|>",
        ),
        marker="<|tool_calls_section_begin|>", opens="<|tool_calls_section_begin|>",
        closes="<|tool_calls_section_end|>", id=COUNTED,
    ),
    Calls(   # Gemma 4
        "gemma4", (("<|tool_call>call:",),), ("<|tool_call>call:", NAME, "{", ARGUMENTS, "}<tool_call|>"),
        marker="<|tool_call>", encoding=Bare('<|"|>'),
    ),
    Calls(   # FunctionGemma
        "function-gemma", (("<start_function_call>",),),
        ("<start_function_call>call:", NAME, "{", ARGUMENTS, "}<end_function_call>"),
        marker="<start_function_call>", encoding=Bare("<escape>"),
    ),
    Calls(   # LFM2, LFM2.5
        "lfm2", (("List of tools: ",), ("<|tool_call_start|>",)), (NAME, "(", ARGUMENTS, ")"),
        marker="<|tool_call_start|>", opens="<|tool_call_start|>[", between=", ", closes="]<|tool_call_end|>",
        encoding=Keywords(),
    ),
    Calls(   # OLMo 3: a call in each line
        "olmo3", (("<function_calls>",),), (NAME, "(", ARGUMENTS, ")"),
        marker="<function_calls>", opens="<function_calls>", between="\n", closes="</function_calls>",
        encoding=Keywords(),
    ),
    Calls(   # Kimi K3
        "kimi-k3", (("<|end_of_msg|>",),),
        (
            '<|open|>call tool="', NAME, '" index="', ID, '"<|sep|>', ARGUMENTS, "<|close|>call<|sep|>",
        ),
        marker="<|open|>tools<|sep|>", opens="<|open|>tools<|sep|>", closes="<|close|>tools<|sep|>", id=FROM_ONE,
        encoding=Tagged(
            '<|open|>argument key="', "", "<|close|>argument<|sep|>",
            middles=tuple((kind, f'" type="{kind}"<|sep|>') for kind in KINDS),
        ),
    ),
    Calls(   # MiniMax M2
        "minimax-m2", (("<minimax:tool_call>",),), ('<invoke name="', NAME, '">\n', ARGUMENTS, "</invoke>"),
        marker="<minimax:tool_call>", opens="<minimax:tool_call>\n", between="\n", closes="\n</minimax:tool_call>",
        encoding=Tagged('<parameter name="', '">', "</parameter>", after="\n"),
    ),
    Calls(   # DeepSeek V3.2
        "deepseek-v3.2", (("DSML", "function_calls"),),
        (f'<{DSML}invoke name="', NAME, '">\n', ARGUMENTS, f"</{DSML}invoke>"),
        marker=f"<{DSML}function_calls>", opens=f"<{DSML}function_calls>\n", between="\n",
        closes=f"\n</{DSML}function_calls>", encoding=DSML_TAGS,
    ),
    Calls(   # DeepSeek V4
        "deepseek-v4", (("DSML",),),
        (f'<{DSML}invoke name="', NAME, '">\n', ARGUMENTS, f"\n</{DSML}invoke>"),
        marker=f"<{DSML}tool_calls>", opens=f"<{DSML}tool_calls>\n", between="\n", closes=f"\n</{DSML}tool_calls>",
        encoding=replace(DSML_TAGS, after="", between="\n"),
    ),
    Calls(   # Hunyuan 3
        "hunyuan3", (("\uff5chy_", ":opensource"),),
        (
            "<tool_call:opensource>", NAME, "<tool_sep:opensource>\n", ARGUMENTS, "</tool_call:opensource>",
        ),
        marker="<tool_calls:opensource>", opens="<tool_calls:opensource>\n", between="\n",
        closes="\n</tool_calls:opensource>",
        encoding=Tagged(
            "<arg_key:opensource>", "</arg_key:opensource>\n<arg_value:opensource>", "</arg_value:opensource>",
            after="\n",
        ),
    ),
    Calls(   # Seed-OSS
        "seed", (("<seed:tool_call>",),),
        ("<seed:tool_call>\n<function=", NAME, ">\n", ARGUMENTS, "</function>\n</seed:tool_call>"),
        marker="<seed:tool_call>", between="\n",
        encoding=Tagged("<parameter=", ">", "</parameter>", after="\n"),
    ),
    Calls(   # Ling 3
        "ling", (("<role>ASSISTANT</role>", "<arg_key>"),),
        ("<tool_call>", NAME, "\n", ARGUMENTS, "\n</tool_call>"), marker="<tool_call>", between="\n",
        encoding=_compact("\n"),
    ),
    Calls(   # GLM-4.5, 4.6
        "glm4.5", (("<arg_key>", r"</arg_key>\n<arg_value>"), ("<arg_key>", "</arg_key>\n<arg_value>")),
        ("<tool_call>", NAME, "\n", ARGUMENTS, "</tool_call>"), marker="<tool_call>", between="\n",
        encoding=_compact("\n", "\n"),
    ),
    Calls(   # GLM-4.7, GLM-5, Laguna, Spark
        "glm4.7", (("<arg_key>",),), ("<tool_call>", NAME, ARGUMENTS, "</tool_call>"), marker="<tool_call>",
        encoding=_compact(""),
    ),
    Calls(   # MiniCPM5
        "minicpm5", (('<function name="', '<param name="'),),
        ('<function name="', NAME, '">', ARGUMENTS, "</function>"), marker='<function name="', between="\n",
        encoding=Tagged('<param name="', '">', "</param>", has_cdata=True),
    ),
    Calls(   # Qwen3-Coder, Qwen3.5, Nemotron 3: the first tag may be absent
        "qwen3-coder", (("<tool_call>", "<function=", "<parameter="),),
        (
            ("<tool_call>\n<function=", "<function="), NAME, ">\n", ARGUMENTS,
            ("</function>\n</tool_call>", "</function>"),
        ),
        marker=("<tool_call>", "<function="), between=("\n", ""),
        encoding=Tagged("<parameter=", ">\n", "\n</parameter>", after="\n"),
    ),
    Calls(   # Command R7B, Command A, Cohere's later ones
        "command-r7b", (("<|START_ACTION|>",),),
        ('{"tool_call_id": "', ID, '", "tool_name": "', NAME, '", "parameters": ', ARGUMENTS, "}"),
        marker="<|START_ACTION|>", opens="<|START_ACTION|>[\n    ", between=",\n    ", closes="\n]<|END_ACTION|>",
        id=COUNTED, follows_text=False,
    ),
    Calls(   # Command R, R+
        "command-r", (("Action:", "```json"),),
        ('{\n        "tool_name": "', NAME, '",\n        "parameters": ', ARGUMENTS, "\n    }"),
        marker="Action:", opens=("Action:\n```json\n[\n    ", "Action: ```json\n[\n    "), between=",\n    ",
        closes=("\n]```", "\n]\n```"),
    ),
    Calls(   # Mistral v11: Small 3.2
        "mistral-ids", (("[TOOL_CALLS]", "[CALL_ID]"),),
        ("[TOOL_CALLS]", NAME, "[CALL_ID]", ID, "[ARGS]", ARGUMENTS), marker="[TOOL_CALLS]", id=NINE,
    ),
    Calls(   # Mistral since v13: Devstral, Magistral, Ministral 3
        "mistral-args", (("[TOOL_CALLS]", "[ARGS]"),), ("[TOOL_CALLS]", NAME, "[ARGS]", ARGUMENTS),
        marker="[TOOL_CALLS]",
    ),
    Calls(   # Mistral v3 to v7: Nemo, Small
        "mistral", (("[TOOL_CALLS]",),),
        ('{"name": "', NAME, '", "arguments": ', ARGUMENTS, ', "id": "', ID, '"}'),
        marker="[TOOL_CALLS]", opens=("[TOOL_CALLS][", "[TOOL_CALLS] ["), between=", ", closes="]", id=NINE,
    ),
    Calls(   # DeepSeek V2.5, V3, R1
        "deepseek-v3", ((DEEPSEEK_OPENS, "```json"),),
        (
            f"{_deepseek('tool call begin')}function{_deepseek('tool sep')}", NAME, "\n```json\n", ARGUMENTS,
            f"\n```{_deepseek('tool call end')}",
        ),
        marker=DEEPSEEK_OPENS, opens=DEEPSEEK_OPENS, between="\n", closes=(DEEPSEEK_CLOSES, ""),
    ),
    Calls(   # DeepSeek V3.1
        "deepseek-v3.1", ((DEEPSEEK_OPENS,),),
        (_deepseek("tool call begin"), NAME, _deepseek("tool sep"), ARGUMENTS, _deepseek("tool call end")),
        marker=DEEPSEEK_OPENS, opens=DEEPSEEK_OPENS, closes=DEEPSEEK_CLOSES,
    ),
    Calls(   # Apertus
        "apertus", (("<|tools_prefix|>",),), ('{"', NAME, '": ', ARGUMENTS, "}"),
        marker="<|tools_prefix|>", opens="<|tools_prefix|>[", between=", ", closes="]<|tools_suffix|>",
    ),
    Calls(   # Nemotron Nano 2
        "nemotron", (("<TOOLCALL>",),), OBJECT,
        marker="<TOOLCALL>", opens="<TOOLCALL>[", between=", ", closes="]</TOOLCALL>",
    ),
    Calls(   # Solar Open
        "solar", (("<|tool_call:begin|>",),),
        (
            "<|tool_call:begin|>", ID, "<|tool_call:name|>", NAME, "<|tool_call:args|>", ARGUMENTS,
            "<|tool_call:end|>",
        ),
        marker="<|tool_calls|>", opens="<|tool_calls|>", closes="<|calls|>", id=TEN, follows_text=False,
    ),
    Calls(   # GigaChat 3.1
        "gigachat3.1", (("<|function_call|>", "<|role_sep|>"),),
        ('<|function_call|>{"name": "', NAME, '", "arguments": ', ARGUMENTS, "}"), marker="<|function_call|>",
        is_single=True,
    ),
    Calls(   # GigaChat 3
        "gigachat3", (("<|role_sep|>", "<|message_sep|>"),),
        (
            '<|message_sep|>\n\nfunction call<|role_sep|>\n{"name": "', NAME, '", "arguments": ', ARGUMENTS, "}",
        ),
        marker="<|message_sep|>\n\nfunction call<|role_sep|>", is_single=True,
    ),
    Calls(   # MiniMax M1: an object in each line
        "minimax-m1", (("<tool_calls>", "<beginning_of_sentence>"),), OBJECT,
        marker="<tool_calls>", opens="<tool_calls>\n", between="\n", closes="\n</tool_calls>",
    ),
    Calls(   # Apriel, Hunyuan A13B
        "tool-calls", (("<tool_calls>",),), OBJECT,
        marker="<tool_calls>", opens="<tool_calls>[", between=", ", closes="]</tool_calls>",
    ),
    Calls(   # firefunction v2
        "functools", (("functools[",),), OBJECT, marker="functools[", opens="functools[", between=", ", closes="]",
    ),
    Calls(   # Phi-4-mini
        "phi4", (("<|tool_call|>", "<|/tool_call|>"), ("<|tool|>", "<|/tool|>")), OBJECT,
        marker=("<|tool_call|>", "functools["), opens=("<|tool_call|>[", "functools["), between=", ",
        closes=("]<|/tool_call|>", "]"),
    ),
    Calls(   # Granite 3
        "granite3", (("<|tool_call|>", "<|start_of_role|>"),), OBJECT,
        marker=("<|tool_call|>", "<tool_call>"), opens=("<|tool_call|>[", "<tool_call>["), between=", ", closes="]",
    ),
    Calls(   # Hermes, Qwen2.5, Qwen3, QwQ, Granite 4, SmolLM3, MiMo, Bielik, ERNIE 4.5
        "hermes", (("<tool_call>",),), GENERIC.pieces, marker="<tool_call>", between=("\n", ""),
        may_be_bare=True,
    ),
    Calls(   # Llama 3.1, 3.2, 3.3
        "llama3",
        (("dictionary of argument name and its value",), ("<|python_tag|>", "Environment: ipython")),
        (
            ('{"name": "', '{"type": "function", "name": "'), NAME, ('", "parameters": ', '", "arguments": '),
            ARGUMENTS, "}",
        ),
        marker=('{"', "<|python_tag|>"), opens=("", "<|python_tag|>"), leads=True, follows_text=False,
        is_single=True,
    ),
    Calls(   # Llama 4
        "llama4", (("<|header_start|>",),), (NAME, "(", ARGUMENTS, ")"),
        opens=("[", "<|python_start|>["), between=", ", closes=("]", "]<|python_end|>"), encoding=Keywords(),
        leads=True, follows_text=False,
    ),
    Calls(   # xLAM 2
        "xlam", (("make calls in a single JSON array",),), OBJECT,
        marker='[{"name": "', opens="[", between=", ", closes="]", leads=True, follows_text=False,
    ),
    Calls(   # GLM-4, Z1: a name and a line break
        "glm4", (("<|observation|>",), ("item['metadata']",)), (NAME, "\n", ARGUMENTS), between="<|assistant|>",
        leads=True, follows_text=False,
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
THINKING = Section("reasoning", "<think>", "</think>")
THOUGHTS = (
    HARMONY,
    Thoughts("functionary", ((">>>all",),), text=Section("text", ">>>all\n"), begun=">>>"),
    Thoughts(   # Command R7B, Command A
        "command-r7b", (("<|START_THINKING|>", "<|START_RESPONSE|>"),),
        (Section("reasoning", "<|START_THINKING|>", "<|END_THINKING|>"),),
        Section("text", "<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ),
    Thoughts(   # Cohere's later ones
        "cohere", (("<|START_THINKING|>", "<|START_TEXT|>"),),
        (Section("reasoning", "<|START_THINKING|>", "<|END_THINKING|>"),),
        Section("text", "<|START_TEXT|>", "<|END_TEXT|>"),
    ),
    Thoughts(   # Solar Open
        "solar", (("<|think|>", "<|content|>"),),
        (Section("reasoning", "<|think|>", "<|end|><|begin|>assistant"),), Section("text", "<|content|>", "<|end|>"),
    ),
    Thoughts(   # Gemma 4
        "gemma4", (("<|channel>thought",),), (Section("reasoning", "<|channel>thought\n", "<channel|>"),),
    ),
    Thoughts(   # Apertus
        "apertus", (("<|inner_prefix|>",),), (Section("reasoning", "<|inner_prefix|>", "<|inner_suffix|>"),),
    ),
    Thoughts(   # Apriel: the prompt, or the model, opens it
        "apriel", (("[BEGIN FINAL RESPONSE]",),),
        (Section("reasoning", "Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]"),),
    ),
    Thoughts(   # Kimi K3
        "kimi-k3", (("<|end_of_msg|>", "think"),),
        (Section("reasoning", "<|open|>think<|sep|>", "<|close|>think<|sep|>"),),
        Section("text", "<|open|>response<|sep|>", "<|close|>response<|sep|>"), ends="<|close|>message<|sep|>",
    ),
    Thoughts(   # Muse
        "muse", (("<atem:function_calls>",),),
        (Section("reasoning", "to=self<|message|>", "<|eom|><|start|>assistant"),),
        Section("text", "to=user<|message|>"),
    ),
    Thoughts("minimax-m3", (("<mm:think>",),), (Section("reasoning", "<mm:think>", "</mm:think>"),),
             absent="</mm:think>"),
    Thoughts(   # Hunyuan 3
        "hunyuan3", (("\uff5chy_", ":opensource"),),
        (Section("reasoning", "<think:opensource>", "</think:opensource>"),),
    ),
    Thoughts("bracketed", (("[THINK]", "[/THINK]"),), (Section("reasoning", "[THINK]", "[/THINK]"),)),
    Thoughts("seed", (("<seed:think>",),), (Section("reasoning", "<seed:think>", "</seed:think>"),)),
    Thoughts(   # Granite 3.3
        "granite3", (("<response>", "<think>", "<|start_of_role|>"),), (THINKING,),
        Section("text", "<response>", "</response>"), is_plain=True,
    ),
    Thoughts(   # ERNIE 4.5
        "ernie", (("<response>", "</think>", "<|im_start|>"),), (THINKING,),
        Section("text", "<response>\n", "</response>"), is_plain=True,
    ),
    Thoughts(   # Hunyuan A13B
        "hunyuan", (("<answer>", "</think>"),), (THINKING,),
        Section("text", "<answer>\n", "</answer>"), is_plain=True,
    ),
    Thoughts("thought", (("<thought>",),), (Section("reasoning", "<thought>", "</thought>"),)),   # EXAONE Deep
    Thoughts("think", (("</think>",), ("<tool_calls>", "<beginning_of_sentence>")), (THINKING,)),
)  # fmt: skip
NONE = Thoughts("", ())


def names_of(template: str | None) -> tuple[str, str]:
    """Return how a chat template has calls written, and how reasoning is marked; "": not at all."""
    if template is None:
        return "", ""
    dialect = dialect_of(template, has_tools=True)
    return dialect.calls.name if dialect.calls else "", dialect.thoughts.name


def dialect_of(template: str, *, has_tools: bool) -> Dialect:
    """Return the dialect that a template's text asks for."""
    thoughts = next((row for row in THOUGHTS if is_told(row.told_by, template)), NONE)
    if not has_tools:
        return Dialect(None, thoughts)
    return Dialect(next((row for row in (GENERIC, *CALLS) if is_told(row.told_by, template)), GENERIC), thoughts)
