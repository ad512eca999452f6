import { Gemel, type Message, type Result, type Tool } from "./gemel.js";
import type { GemelChat } from "./gemel-chat.js";
import { connect } from "./relay.js";

const gemel = new Gemel({ base: new URL("https://example.org/gemel/"), threads: 2 });
const info = await gemel.load("a.gguf", { onProgress: ({ stage, left }) => console.log(stage, left), cache: false });
await gemel.load("a.gguf", { draft: new Blob([]), threads: 2 });
const threads: number = info.threads;
for await (const piece of gemel.generate(Int32Array.of(1, 2), { max_tokens: 3, seed: null })) piece.toUpperCase();
const result: Result = await gemel.chat([{ role: "user", content: "Hi" }], { template_options: { a: 1 } }).result;
await gemel.chat([{ role: "assistant" }], { continue_final_message: false, add_generation_prompt: null }).result;
const said = [
    { role: "user", content: [{ type: "text", text: "Hi" }] },
    { role: "assistant", content: null },
];
const seed: number | bigint = (await gemel.chat(said, { seed: 2n ** 60n, logit_bias: { 5: -1 }, stop: null }).result)
    .seed;
const uncached: string | null = info.why_uncached;
(await gemel.count([{ role: "user", content: "Hi" }], { template_options: { a: 1 } })).toFixed();
const one: Float32Array = await gemel.embed("a");
const many: Float32Array[] = await gemel.embed(["a"], { pooling: "last" });
const shown: string | null = await gemel.run("1 + 1", { onOutput: (text, stream) => console.log(stream, text) });
const checked = gemel.generate("a", { json_schema: { uniqueItems: true }, strict: false });
const invalid: string | undefined = (await checked.result).invalid;
const weather: Tool = {
    name: "weather",
    description: "The weather in a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    run: async ({ city }: { city: string }, { signal, call }) => ({ city, degrees: call.index, late: signal.aborted }),
};
const asked = gemel.chat([{ role: "user", content: "Hi" }], {
    tools: [weather, { type: "function", function: { name: "time" } }],
    tool_choice: "required",
    max_rounds: 2,
    onCall: async (call) => {
        if (call.name === "time") return { result: { hour: 12 } };
        if (call.values.city === "") throw new Error("no city");
    },
});
for await (const part of asked.parts()) {
    if (part.kind === "call" || part.kind === "result") console.log(part.call.name, part.text);
}
const next: Message[] = [...(await asked.result).messages, { role: "user", content: "And now?" }];
const answer: Response = await gemel.fetch("/v1/models", { signal: AbortSignal.timeout(1000) });
const relay = connect(gemel, { serves: () => gemel.info !== null });
const why: string | null = (await relay.ready).why ?? (await relay.offline).why;
const element: GemelChat = document.createElement("gemel-chat");
element.addEventListener("done", ({ detail }) => console.log(detail.usage.total_tokens));
element.addEventListener("error", ({ detail }) => console.log(detail.traceback));
element.addEventListener("click", () => element.stop());
// @ts-expect-error: not an option
gemel.generate("a", { max_token: 3 });
// @ts-expect-error: info is read-only
gemel.info = null;

export { answer, invalid, many, next, one, result, seed, shown, threads, uncached, why };
