// An answer as a program that gives it again: Python, a curl command, JavaScript. Each is whole and runs as it is. Pure:
// knows nothing of the page.

/** A value as Python writes it, `deep` levels in. Strings of JSON are Python's, too. */
function python(value, deep = 0) {
    if (value === null || value === undefined) return "None";
    if (typeof value === "boolean") return value ? "True" : "False";
    if (typeof value !== "object") return JSON.stringify(value);
    const isList = Array.isArray(value);
    const parts = isList
        ? value.map((one) => python(one, deep + 1))
        : Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${python(one, deep + 1)}`);
    const [open, close] = isList ? "[]" : "{}";
    if (!isList || deep > 0 || !parts.length) return `${open}${parts.join(", ")}${close}`;
    return `${open}\n${parts.map((one) => `    ${one},\n`).join("")}${close}`;
}

const given = (options) => Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
const listed = (messages) => `[\n${messages.map((one) => `    ${JSON.stringify(one)},\n`).join("")}]`;
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const comments = (mark, lines) => lines.map((line) => `${mark} ${line}\n`).join("");

/** The body of a request to a server. The context is the server's own. */
const bodyOf = ({ model, messages, options: { n_ctx: _, ...options } }) => ({
    ...(model ? { model } : {}),
    messages,
    ...options,
});

/**
 * The program in Python: with the model's address, or else by the server.
 * @param {{messages: object[], options: object, source: string | null, model: string | null, server: string,
 *     hasKey: boolean, gemel: string, notes: string[]}} answer  source: the model's address; server: the address of
 *     an OpenAI API; gemel: the address of gemel.js; notes: what a reader must know
 */
export function asPython(answer) {
    const { messages, source, notes } = answer;
    const { n_ctx, ...options } = answer.options;
    const begin = comments("#", notes);
    const asked = `messages = ${python(messages)}\n`;
    if (source === null) return `${begin}${overHttp(answer)}`;
    const words = given(options).map(([name, value]) => `    ${name}=${python(value, 1)},\n`);
    const context = n_ctx ? `n_ctx=${n_ctx}` : "";
    return (
        `${begin}import gemel\n\nmodel = gemel.open(${JSON.stringify(source)})\nchat = model.chat(${context})\n` +
        `${asked.replace("messages", "chat.messages")}answer = chat.send(\n${words.join("")})\n` +
        `for piece in answer:\n    print(piece, end="", flush=True)\nprint()\n`
    );
}

function overHttp(answer) {
    const { messages, ...body } = bodyOf(answer);
    const words = given(body).map(([name, value]) => `    ${JSON.stringify(name)}: ${python(value, 1)},\n`);
    const key = answer.hasKey ? `\n    "Authorization": "Bearer " + os.environ["GEMEL_KEY"],` : "";
    return (
        `import json\n${answer.hasKey ? "import os\n" : ""}import urllib.request\n\nmessages = ${python(messages)}\n` +
        `body = {\n    "messages": messages,\n${words.join("")}}\n` +
        `headers = {\n    "Content-Type": "application/json",${key}\n}\n` +
        `request = urllib.request.Request(\n    ${JSON.stringify(`${answer.server}/chat/completions`)},\n` +
        `    json.dumps(body).encode(),\n    headers,\n)\nwith urllib.request.urlopen(request) as response:\n` +
        `    answer = json.load(response)\nprint(answer["choices"][0]["message"]["content"])\n`
    );
}

/** The request to a server, for a shell of Linux or macOS. */
export function asCurl(answer) {
    const body = JSON.stringify(bodyOf(answer), null, 1);
    const key = answer.hasKey ? ` \\\n    -H "Authorization: Bearer $GEMEL_KEY"` : "";
    return (
        `${comments("#", [...answer.notes, ...answer.serverNotes])}curl -sS ${quoted(`${answer.server}/chat/completions`)}` +
        ` \\\n    -H 'Content-Type: application/json'${key} \\\n    -d ${quoted(body)}\n`
    );
}

/** A module for a page: <script type="module">. */
export function asJavaScript(answer) {
    const { messages, options, source, notes, server } = answer;
    const begin = `${comments("//", notes)}`;
    if (source === null) {
        const { messages: _, ...body } = bodyOf(answer);
        const key = answer.hasKey ? `, Authorization: "Bearer " + prompt("The server's key")` : "";
        return (
            `${begin}const messages = ${listed(messages)};\n` +
            `const body = { messages, ...${JSON.stringify(body)} };\n` +
            `const response = await fetch(${JSON.stringify(`${server}/chat/completions`)}, {\n    method: "POST",\n` +
            `    headers: { "Content-Type": "application/json"${key} },\n    body: JSON.stringify(body),\n});\n` +
            `const answer = await response.json();\ndocument.body.append(answer.choices[0].message.content);\n`
        );
    }
    return (
        `${begin}import { Gemel } from ${JSON.stringify(answer.gemel)};\n\nconst gemel = new Gemel();\n` +
        `await gemel.load(${JSON.stringify(source)});\nconst messages = ${listed(messages)};\n` +
        `const options = ${JSON.stringify(Object.fromEntries(given(options)), null, 4)};\n` +
        `for await (const piece of gemel.chat(messages, options)) document.body.append(piece);\n`
    );
}
