// A page for tests of the service worker: window.gemel serves through relay.js. ?client adds OpenAI's own client.
import { Gemel } from "./gemel.js";
import { connect } from "./relay.js";

const options = new URLSearchParams(location.search);
window.gemel = new Gemel({ threads: self.crossOriginIsolated ? 2 : 1 });
if (!options.has("mute")) window.relay = connect(gemel);
window.ready = await window.relay?.ready;
if (options.has("client")) {
    const { default: OpenAI } = await import("./openai/index.mjs");
    window.OpenAI = OpenAI;
    const baseURL = new URL("v1", location.href).href;
    window.client = new OpenAI({ baseURL, apiKey: "none", dangerouslyAllowBrowser: true, maxRetries: 0 });
}
window.caught = (promise) =>
    Promise.resolve(promise).then(
        () => ({ name: "no error" }),
        ({ name, message, status, code, param }) => ({ name, message, status, code, param }),
    );
document.querySelector("main").dataset.ready = "";
