"""Chats with tools, as tests of servers send them: templates that know tools and reasoning, tools, and requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gemel
import gemel_web
from conftest import CHATML, tiny_bytes

HERMES = (
    "{%- if tools %}<|im_start|>system\nTools:{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}\n"
    'Call them so: <tool_call>\n{"name": ..., "arguments": ...}\n</tool_call><|im_end|>\n{% endif %}'
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{%- for call in message.tool_calls or [] %}\n<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKS = HERMES.replace(   # as Qwen3's: enable_thinking=false turns it off
    "<|im_start|>assistant\n{% endif %}",
    "<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}{% endif %}",
)
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "A shirt, please."}]
SHIRT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "order_shirt", "description": "Order a shirt.", "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"size": {"enum": ["S", "M", "L"]}, "dry": {"type": "boolean"}},
            "required": ["size", "dry"], "additionalProperties": False,
        },
    },
}  # fmt: skip
CLOCK: dict[str, Any] = {"type": "function", "function": {"name": "clock", "parameters": {
    "type": "object", "properties": {}, "additionalProperties": False,
}}}  # fmt: skip
BOTH = [SHIRT, CLOCK]
MUST: dict[str, Any] = {"tools": BOTH, "tool_choice": "required", "max_tokens": 300, "temperature": 4.0, "top_p": 1.0}
WIDE: dict[str, Any] = {"top_k": 0, "min_p": 0.0}   # with MUST, answers have one to three calls


@contextmanager
def chat_models(n_ctx: int) -> Iterator[dict[str, gemel_web.ServedModel]]:
    """Open models whose templates know tools, reasoning, or only messages; the last one has none."""
    templates = {"tools": HERMES, "thinks": THINKS, "plain": CHATML, "bare": None}
    with ExitStack() as stack:
        yield {
            name: gemel_web.ServedModel(
                stack.enter_context(gemel.open(tiny_bytes(chat_template=template, n_ctx=n_ctx), threads=1)), created=7
            )
            for name, template in templates.items()
        }


def is_call(name: str, arguments: str) -> bool:
    """Whether a call is one of BOTH's."""
    values = json.loads(arguments)
    if name == "clock":
        return bool(values == {})
    return name == "order_shirt" and set(values) == {"size", "dry"} and values["size"] in ("S", "M", "L")
