"""Write models' logits to a file: logits.py OUT MODEL... The same program in each host; GEMEL_ISA chooses the row.

A prompt goes in as one batch, then id by id, so that both shapes of every kernel are in the file.
"""

import sys
from pathlib import Path

import gemel

PROMPT = "The quick brown fox; la llama negra."

written = b""
for path in sys.argv[2:]:
    with gemel.open(path, threads=1) as model, model.session(n_ctx=64) as session:
        ids = [*model.tokenize(PROMPT), *range(1, 41)][:40]
        session.sync(ids[:33])
        written += session.logits().tobytes()
        for one in ids[33:]:
            session.append([one])
            written += session.logits().tobytes()
Path(sys.argv[1]).write_bytes(written)
