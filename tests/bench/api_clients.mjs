// The npm clients openai, ollama and @anthropic-ai/sdk, unmodified, against a server that runs.
//
//     gemel serve MODEL --alias model
//     cd FOLDER && npm install openai ollama @anthropic-ai/sdk
//     node tests/bench/api_clients.mjs http://127.0.0.1:8090 FOLDER
//
// Prints a line per check; exits with 1 if one fails. Streams must add up to whole answers.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";

const [url, folder] = process.argv.slice(2);
const load = createRequire(path.resolve(folder, "package.json"));
const { default: OpenAI } = load("openai");
const { Ollama } = load("ollama");
const { default: Anthropic } = load("@anthropic-ai/sdk");

const model = "model";
const messages = [{ role: "user", content: "Why is the sky blue?" }];
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const weather = { name: "get_weather", description: "Get the weather of a city." };
const tools = [{ type: "function", function: { ...weather, parameters: schema } }];
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const ollama = new Ollama({ host: url });
const anthropic = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });

async function all(stream) {
    const found = [];
    for await (const part of stream) found.push(part);
    return found;
}

const checks = {
    async "openai: chat"() {
        const asked = { model, messages, max_tokens: 24, temperature: 0 };
        const whole = await openai.chat.completions.create(asked);
        const options = { include_usage: true };
        const parts = await all(
            await openai.chat.completions.create({ ...asked, stream: true, stream_options: options }),
        );
        const text = parts.map((part) => part.choices[0]?.delta.content ?? "").join("");
        assert.equal(text, whole.choices[0].message.content);
        assert.equal(parts.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
    },
    async "openai: tools"() {
        const asked = { model, messages, tools, tool_choice: "required", max_tokens: 100, temperature: 0 };
        const called = (await openai.chat.completions.stream(asked).finalMessage()).tool_calls[0];
        assert.deepEqual(Object.keys(JSON.parse(called.function.arguments)), ["city"]);
    },
    async "openai: completions, embeddings, models"() {
        const text = await openai.completions.create({ model, prompt: "The capital of France is", max_tokens: 4 });
        assert.ok(text.choices[0].text);
        const [one] = (await openai.embeddings.create({ model, input: "x" })).data;
        assert.ok(one.embedding.length > 100);
        assert.ok((await all(await openai.models.list())).some((one) => one.id === model));
    },
    async "openai: responses"() {
        const asked = { model, input: "Why is the sky blue?", max_output_tokens: 24, temperature: 0 };
        const whole = await openai.responses.create(asked);
        const final = await openai.responses.stream(asked).finalResponse();
        assert.equal(final.output_text, whole.output_text);
    },
    async "openai: cancelling"() {
        const stream = await openai.chat.completions.create({ model, messages, max_tokens: 2000, stream: true });
        for await (const _ of stream) break;
        stream.controller.abort();
    },
    async "openai: errors"() {
        await assert.rejects(openai.chat.completions.create({ model: "none", messages }), OpenAI.NotFoundError);
        await assert.rejects(openai.chat.completions.create({ model, messages, top_p: 7 }), OpenAI.BadRequestError);
    },
    async "ollama: chat and generate"() {
        const options = { temperature: 0, num_predict: 24, num_ctx: 4096 };
        const whole = await ollama.chat({ model, messages, options });
        const parts = await all(await ollama.chat({ model, messages, options, stream: true }));
        assert.equal(parts.map((part) => part.message.content).join(""), whole.message.content);
        assert.equal(parts.at(-1).eval_count, whole.eval_count);
        const text = await ollama.generate({ model, prompt: "The sky", raw: true, options });
        assert.ok(text.response);
    },
    async "ollama: tools and forms"() {
        const answer = await ollama.chat({ model, messages, tools, options: { num_predict: 40 } });
        assert.equal(answer.message.role, "assistant");
        const formed = await ollama.chat({
            model,
            messages,
            format: schema,
            options: { num_predict: 200, temperature: 0 },
        });
        assert.ok("city" in JSON.parse(formed.message.content));
    },
    async "ollama: embeddings and models"() {
        assert.equal((await ollama.embed({ model, input: ["a", "b"] })).embeddings.length, 2);
        assert.ok((await ollama.embeddings({ model, prompt: "a" })).embedding.length > 100);
        assert.ok((await ollama.list()).models.some((one) => one.model === model));
        assert.ok((await ollama.ps()).models.length);
        assert.ok((await ollama.show({ model })).capabilities.includes("completion"));
        assert.equal((await ollama.pull({ model })).status, "success");
        assert.ok((await ollama.version()).version);
    },
    async "ollama: cancelling"() {
        const stream = await ollama.chat({ model, messages, stream: true, options: { num_predict: 2000 } });
        await assert.rejects(async () => {
            for await (const _ of stream) stream.abort();
        });
    },
    async "ollama: errors"() {
        await assert.rejects(ollama.chat({ model: "none", messages }), /there is no model 'none'/);
    },
    async "anthropic: messages"() {
        const asked = { model, messages, max_tokens: 24, temperature: 0 };
        const whole = await anthropic.messages.create(asked);
        const final = await anthropic.messages.stream(asked).finalMessage();
        assert.deepEqual(final.content, whole.content);
        assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
    },
    async "anthropic: tools and counts"() {
        const own = [{ ...weather, input_schema: schema }];
        const asked = { model, messages, tools: own };
        const called = await anthropic.messages.create({ ...asked, max_tokens: 100, tool_choice: { type: "any" } });
        assert.deepEqual(Object.keys(called.content.at(-1).input), ["city"]);
        assert.ok((await anthropic.messages.countTokens(asked)).input_tokens > 10);
        assert.ok((await all(await anthropic.models.list())).some((one) => one.id === model));
    },
    async "anthropic: cancelling"() {
        const stream = anthropic.messages.stream({ model, messages, max_tokens: 2000 });
        stream.on("text", () => stream.abort());
        await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
    },
    async "anthropic: errors"() {
        const asked = { model: "none", messages, max_tokens: 1 };
        await assert.rejects(anthropic.messages.create(asked), Anthropic.NotFoundError);
    },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
    try {
        await check();
        console.log(`passed  ${name}`);
    } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}: ${error.stack}`);
    }
}
process.exit(failed ? 1 : 0);
