// Writes a text, and defines <gemel-chat>. The worker's files are in the folder gemel, where `npx gemel-files` put them.
import { Gemel } from "gemel";
import "gemel/chat";

const out = document.querySelector("#out");
const gemel = new Gemel({ base: "gemel/" });
await gemel.load("model.gguf");
const answer = gemel.generate("Once upon a time", { max_tokens: 40, temperature: 0.7, seed: 1 });
for await (const piece of answer) out.append(piece);
const { usage } = await answer.result;
out.append(`\n\n${usage.completion_tokens} tokens`);
gemel.close();
