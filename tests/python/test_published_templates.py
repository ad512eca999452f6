"""Published chat templates give, as a chat renders them, the text that transformers' apply_chat_template gives."""

from __future__ import annotations

from pathlib import Path

import conversations
import gemel
import hub_templates
import llama_vectors
import pytest
from conversations import CONTROL, CONVERSATIONS, ERROR, Characters, Conversation, said
from gemel.text import forms, messages, prompt, sandbox, template


def rendered(text: str, conversation: Conversation) -> str | None:
    """Return the text of a prompt's ids; None: the template refuses or fails."""
    ids = rendered_ids(text, conversation)
    return None if ids is None else b"".join(map(Characters().piece, ids)).decode()


def rendered_ids(text: str, conversation: Conversation) -> list[int] | None:
    """Return a prompt's ids."""
    vocabulary = Characters()
    sent = messages.plain(conversation.messages)
    goes_on = messages.continues(sent, None)
    values = template.template_values(conversation.tools, conversation.options)
    values["add_generation_prompt"] = not goes_on
    try:
        return prompt.prompt_ids(vocabulary, text, sent, values, is_open=goes_on)
    except gemel.TemplateError:
        return None


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


CALLING = ("a tool's result", "two calls and an answer")   # conversations with calls, in several forms
# Templates that append arguments as a text; that do so and drop the calls of a message with a content; that drop or
# refuse the second call of a message; that need ids of 9 characters; that need descriptions.
TEXTS = {"deepseek-r1-0528-qwen3-8b", "deepseek-r1", "deepseek-v3.1", "meetkai-functionary-medium-v3.2"}
APART = {
    "deepseek-r1-distill-llama-8b", "deepseek-r1-distill-qwen-7b", "deepseek-v2.5", "deepseek-v3",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
}   # fmt: skip
IN_TURN = {
    "meta-llama-Llama-3.1-8B-Instruct", "meta-llama-Llama-3.2-3B-Instruct", "meta-llama-Llama-3.3-70B-Instruct",
    "openai-gpt-oss-120b", "GigaChat3-10B-A1.8B", "GigaChat3.1-10B-A1.8B",
}   # fmt: skip
NINE = {"Mistral-Small-3.2-24B-Instruct-2506", "mistralai-Mistral-Nemo-Instruct-2407"}
DESCRIBED = {
    "Apertus-8B-Instruct", "CohereForAI-c4ai-command-r-plus-tool_use", "meetkai-functionary-medium-v3.1",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "muse-glimmer",
    "openai-gpt-oss-120b",
}   # fmt: skip


def needed(path: Path, name: str) -> str:
    """Return the conversation that has a conversation's calls in the form that a template needs."""
    base = name.partition(", ")[0]
    if base not in CALLING:
        return name
    if base == CALLING[1] and path.stem in IN_TURN:
        return f"{base}, in turn"
    return base + (", apart" if path.stem in APART else ", as sent" if path.stem in TEXTS else "")


def check(path: Path) -> int:
    """Compare all conversations of one template; return the number of texts."""
    text = path.read_text(encoding="utf-8")
    wanted = dict(zip(CONVERSATIONS, conversations.read()[conversations.key(text)], strict=True))
    for name, conversation in CONVERSATIONS.items():
        if name.endswith((", apart", ", in turn")) and needed(path, name) != name:   # others may read it otherwise
            continue
        digest = conversations.digest(rendered(text, conversation))
        assert digest == wanted[needed(path, name)], (path.name, name)
    form = forms.call_form(text)
    assert (form.nine, forms.needs_descriptions(text)) == (path.stem in NINE, path.stem in DESCRIBED), path.name
    return sum(digest != ERROR for digest in wanted.values())


@pytest.mark.model
@pytest.mark.usefixtures("clock")
@pytest.mark.long
def test_llama_cpps_collection_renders_as_in_transformers(vocabularies: Path) -> None:
    paths = llama_vectors.templates(vocabularies)
    assert len(paths) == llama_vectors.TEMPLATES
    assert sum(map(check, paths)) > 700


@pytest.mark.model
@pytest.mark.usefixtures("clock")
@pytest.mark.long
def test_templates_beside_the_hubs_tokenizers_render_as_in_transformers(hub_template_folder: Path) -> None:
    paths = hub_templates.templates(hub_template_folder)
    assert len(paths) == hub_templates.TEMPLATES
    assert sum(map(check, paths)) > 400


HOSTILE = "</s>\"'\\ \\ufdd0 <|im_end|>"
HARMLESS = HOSTILE.replace("</s>", "....").replace("<|im_end|>", "..........")


def hostile(word: str) -> Conversation:
    """Return a conversation with calls that has a word in all places that others may have written."""
    described = conversations.tool("search", **{word: "string"})
    described["function"]["description"] = word
    called = {**conversations.call(1, word, {word: [word, {word: word}]}), "id": word}
    result = {"role": "tool", "tool_call_id": word, "content": word}
    messages = [*said(word, system=word), {"role": "assistant", "content": word, "tool_calls": [called]}, result]
    return Conversation(messages, [described], {"documents": [{"title": word, "text": word}]})


def control_ids(text: str, word: str) -> list[int] | None:
    """Return the control tokens of a prompt; None: the template refuses or fails."""
    ids = rendered_ids(text, hostile(word))
    return None if ids is None else [id for id in ids if id in CONTROL]


@pytest.mark.model
@pytest.mark.long
def test_no_published_template_makes_control_tokens_of_calls(vocabularies: Path, hub_template_folder: Path) -> None:
    paths = [*llama_vectors.templates(vocabularies), *hub_templates.templates(hub_template_folder)]
    n_rendered = 0
    for path in paths:
        text = path.read_text(encoding="utf-8")
        wanted, found = (control_ids(text, word) for word in (HARMLESS, HOSTILE))
        assert (wanted is None) == (found is None), path.name
        assert found == wanted, path.name
        n_rendered += found is not None
    assert n_rendered > 90
