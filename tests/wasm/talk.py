"""Generate and chat, and write what came of it: talk.py OUT MODEL. The same program in each host."""

import json
import sys
from pathlib import Path

import gemel

with gemel.open(sys.argv[2], threads=1) as model:
    texts = [model.generate("Once upon a time", max_tokens=24, temperature=0).read()]
    chat = model.chat(system="Be brief.")
    texts += [chat.send(text, max_tokens=12, temperature=0).read() for text in ("Hi.", "Why?")]
Path(sys.argv[1]).write_text(json.dumps([gemel.__version__, *texts]))
