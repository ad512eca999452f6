"""Published chat templates give, as a chat renders them, the text that transformers' apply_chat_template gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import conversations
import gemel
import hub_templates
import llama_vectors
import pytest
from conversations import CONVERSATIONS, ERROR, Conversation, said
from gemel.text import messages, prompt, sandbox, template

CONTROL = {1: "<s>", 2: "</s>", 3: "<|im_end|>"}


class Vocabulary:
    """A character is an id; three ids are control tokens."""

    name = "characters"
    chat_template: str | None = None
    chat_templates: Mapping[str, str] = {}
    bos_id: int | None = 1
    eos_id: int | None = 2

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        ids: list[int] = []
        while text:
            found = next((id for id, token in CONTROL.items() if special and text.startswith(token)), None)
            ids.append(ord(text[0]) + 100 if found is None else found)
            text = text[1:] if found is None else text.removeprefix(CONTROL[found])
        return ids

    def piece(self, id: int, *, special: bool = False) -> bytes:
        return (CONTROL[id] if id in CONTROL else chr(id - 100)).encode()

    def is_control(self, id: int) -> bool:
        return id in CONTROL


def rendered(text: str, conversation: Conversation) -> str | None:
    """Return the text of a prompt's ids; None: the template refuses or fails."""
    vocabulary = Vocabulary()
    sent = messages.plain(conversation.messages)
    goes_on = messages.continues(sent, None)
    values = template.template_values(conversation.tools, conversation.options)
    values["add_generation_prompt"] = not goes_on
    try:
        ids = prompt.prompt_ids(vocabulary, text, sent, values, is_open=goes_on)
    except gemel.TemplateError:
        return None
    return b"".join(map(vocabulary.piece, ids)).decode()


@pytest.mark.parametrize(("text", "conversation", "wanted"), [
    # the space at the end goes if the template removes it
    ("{{ messages[0].content }}</s>", said("", "  The sky is \n")[1:], "  The sky is \n"),
    ("{{ messages[0].content|trim }}</s>", said("", "  The sky is \n")[1:], "The sky is"),
    # what is absent: transformers passes none, so that both tests hold
    ("{{ tools == none }} {{ documents == none }} {{ tools is defined }} {{ enable_thinking is defined }}",
     said("Hi"), "True True True False"),
    # reasoning has all names that templates read
    ("{% for m in messages %}{{ m.reasoning_content }}|{{ m.thinking }};{% endfor %}",
     [*said("", "a")[1:], {"role": "assistant", "content": "b", "reasoning": "r"}, *said("x")], "|;r|r;|;"),
    ("{% for m in messages %}{{ m.reasoning_content }}|{{ m.thinking }};{% endfor %}",
     [{"role": "assistant", "content": "b", "thinking": "t", "reasoning_content": "r"}, *said("x")], "r|t;|;"),
    # None is as absent
    ("{{ messages[0].tool_calls is defined }}{{ messages[0].name is defined }}[{{ messages[0].content }}]",
     [{"role": "assistant", "content": None, "tool_calls": None, "name": None}, *said("x")], "FalseFalse[]"),
])
def test_a_template_gets_what_it_gets_in_transformers(
    text: str, conversation: conversations.Messages, wanted: str
) -> None:
    assert rendered(text, Conversation(conversation)) == wanted


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "now", conversations.NOW.strftime)
    template.compiled.cache_clear()


def check(path: Path) -> int:
    """Compare all conversations of one template; return the number of texts."""
    text = path.read_text(encoding="utf-8")
    wanted = conversations.read()[conversations.key(text)]
    for (name, conversation), digest in zip(CONVERSATIONS.items(), wanted, strict=True):
        assert conversations.digest(rendered(text, conversation)) == digest, (path.name, name)
    return sum(digest != ERROR for digest in wanted)


@pytest.mark.model
@pytest.mark.usefixtures("clock")
def test_llama_cpps_collection_renders_as_in_transformers(vocabularies: Path) -> None:
    paths = llama_vectors.templates(vocabularies)
    assert len(paths) == llama_vectors.TEMPLATES
    assert sum(map(check, paths)) > 700


@pytest.mark.model
@pytest.mark.usefixtures("clock")
def test_templates_beside_the_hubs_tokenizers_render_as_in_transformers(hub_template_folder: Path) -> None:
    paths = hub_templates.templates(hub_template_folder)
    assert len(paths) == hub_templates.TEMPLATES
    assert sum(map(check, paths)) > 400
