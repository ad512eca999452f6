"""Write what transformers' apply_chat_template gives for published chat templates to tests/golden/templates.json.

    python tests/golden/make_templates.py FOLDER...     folders with *.jinja, as the tests fetch them

Run it by a Python that has transformers; the tests need only its output.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where conversations.py is, for a script run by its path

import conversations
import transformers
from transformers.utils import chat_template_utils


class Clock:
    """A clock that stands still."""

    @staticmethod
    def now() -> datetime:
        return conversations.NOW


def rendered(text: str, conversation: conversations.Conversation) -> str | None:
    """Return a rendering; None: the template refuses or fails."""
    try:
        texts, _ = chat_template_utils.render_jinja_template(
            [conversation.messages], tools=conversation.tools, chat_template=text,
            add_generation_prompt=not conversation.goes_on, continue_final_message=conversation.goes_on,
            **conversations.TOKENS, **conversation.options,
        )
    except Exception:   # a template can raise any exception
        return None
    return str(texts[0])


def main(folders: list[str]) -> None:
    chat_template_utils.datetime = Clock
    found = {}
    for path in sorted(path for folder in folders for path in Path(folder).glob("*.jinja")):
        text = path.read_text(encoding="utf-8")
        digests = [conversations.digest(rendered(text, one)) for one in conversations.CONVERSATIONS.values()]
        found[conversations.key(text)] = digests
    lines = ",\n".join(f'"{name}": "{"".join(digests)}"' for name, digests in sorted(found.items()))
    by = f"transformers {transformers.__version__}"
    conversations.GOLDEN.write_text(f'{{"by": "{by}", "templates": {{\n{lines}\n}}}}\n')
    print(len(found), "templates,", sum(one != conversations.ERROR for all in found.values() for one in all), "texts")


if __name__ == "__main__":
    main(sys.argv[1:])
