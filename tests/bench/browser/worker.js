// The page's side of an engine in a worker: one message out, one back, and a "token" message for each token between.

/** Return start, open, generate and embed, which call the worker script `name` next to this file. */
export function inWorker(name) {
    let worker;
    let waiting;
    let onArrival;
    const ask = (message) =>
        new Promise((resolve, reject) => {
            waiting = { resolve, reject };
            worker.postMessage(message);
        });
    return {
        start(options) {
            worker = new Worker(new URL(name, import.meta.url), { type: "module" });
            worker.onerror = (event) => waiting.reject(new Error(event.message));
            worker.onmessage = ({ data }) => {
                if (data === "token") onArrival();
                else if (data.error) waiting.reject(new Error(data.error));
                else waiting.resolve(data.value);
            };
            return ask({ what: "start", options });
        },
        open: (url, options) => ask({ what: "open", url, options }),
        generate(prompt, n, onToken) {
            onArrival = onToken;
            return ask({ what: "generate", prompt, n });
        },
        embed: (texts) => ask({ what: "embed", texts }),
    };
}

/** The worker's side: answer with what these functions return; generate's last argument shows a token. */
export function answer({ start, open, generate, embed }) {
    const actions = {
        start: ({ options }) => start(options),
        open: ({ url, options }) => open(url, options),
        generate: ({ prompt, n }) => generate(prompt, n, () => self.postMessage("token")),
        embed: ({ texts }) => embed(texts),
    };
    self.onmessage = async ({ data }) => {
        try {
            self.postMessage({ value: (await actions[data.what](data)) ?? null });
        } catch (error) {
            self.postMessage({ error: `${error}` });
        }
    };
}
