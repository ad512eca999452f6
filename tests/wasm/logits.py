"""Write a model's logits to a file: logits.py MODEL OUT. The same program in each host.

The prompt goes in as one batch, then id by id, so that both shapes of every kernel are in the file.
"""

import sys
from pathlib import Path

import gemel

PROMPT = "The quick brown fox; la llama negra."

with gemel.open(sys.argv[1], threads=1) as model, model.session(n_ctx=64) as session:
    ids = [*model.tokenize(PROMPT), *range(1, 40)][:40]
    session.sync(ids[:33])
    rows = [session.logits().tobytes()]
    for one in ids[33:]:
        session.append([one])
        rows.append(session.logits().tobytes())
Path(sys.argv[2]).write_bytes(b"".join(rows))
