"""Ask a model two questions: python hello.py MODEL, and the same in a tab."""

import sys

import gemel

with gemel.open(sys.argv[1]) as model, model.chat(system="Answer in one sentence.") as chat:
    for question in ("Why is the sky blue?", "And at night?"):
        print(">", question)
        for piece in chat.send(question, max_tokens=30, temperature=0.7, seed=1):
            print(piece, end="", flush=True)
        print()
