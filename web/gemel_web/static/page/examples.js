// Programs for the Python cell. ADDRESS stands for the address of the page's model.

export const EXAMPLES = [
    {
        name: "Once upon a time",
        code: `import gemel

MODEL = "ADDRESS"
model = gemel.open(MODEL)
text = "Once upon a time"
for piece in model.generate(text, max_tokens=48, seed=1):
    print(piece, end="", flush=True)

model.info
`,
    },
    {
        name: "Search by meaning",
        code: `import gemel

MODEL = "ADDRESS"   # an embedding model, such as all-MiniLM, finds more
model = gemel.open(MODEL)
notes = ["Leaves turn light into sugar.", "Taxes are due in May.", "A violin has four strings."]
*rows, asked = model.embed([*notes, "How do plants eat?"]).tolist()
scores = [sum(a * b for a, b in zip(row, asked)) for row in rows]
for score, note in sorted(zip(scores, notes), reverse=True):
    print(f"{score:6.3f} {note}")
`,
    },
    {
        name: "A chat",
        code: `import gemel

MODEL = "ADDRESS"
model = gemel.open(MODEL)
chat = model.chat(system="Answer in one sentence.")
for question in ("Why is the sky blue?", "And at sunset?"):
    print(">", question)
    for piece in chat.send(question, max_tokens=48, seed=1):
        print(piece, end="", flush=True)
    print("\\n")
`,
    },
    {
        name: "What comes next",
        code: `import math
import gemel

MODEL = "ADDRESS"
model = gemel.open(MODEL)
with model.session() as session:
    prompt = "The capital of France is"
    session.append(model.tokenize(prompt))
    ids = session.likeliest(6)
    for id, logprob in zip(ids, session.log_probs(ids)):
        p, text = math.exp(logprob), model.detokenize([id])
        print(f"{text!r:>10} {p:6.1%} {'=' * round(30 * p)}")
`,
    },
    {
        name: "The same bits",
        code: `import hashlib
import gemel

MODEL = "ADDRESS"
model = gemel.open(MODEL)
with model.session() as session:
    session.append(model.tokenize("Joined as twins."))
    logits = memoryview(session.logits()).tobytes()

# Run this on a desktop: the same digest.
print(hashlib.sha256(logits).hexdigest())
model.info.isa
`,
    },
    {
        name: "How surprising",
        code: `import gemel

MODEL = "ADDRESS"
model = gemel.open(MODEL)
for end in ("mat", "theorem"):
    text = f"The cat sat on the {end}."
    scores = model.score(text)
    print(f"{-sum(scores) / len(scores):5.2f} nats per token: {text}")
`,
    },
];
