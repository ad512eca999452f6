// Shows what the service worker does for this page: the OpenAI API for its scripts, and offline use.
import { connect } from "../relay.js";
import { byId, make } from "./dom.js";
import { keepsModels } from "./tab.js";

/** Connect to the service worker. Resolves when the page can start; never if it is about to reload. */
export async function offlineLine(tab) {
    const place = byId("relay");
    const relay = connect(tab.gemel, { serves: () => tab.isLoaded });
    const lines = [null, null]; // about the relay, about the offline copy
    const show = () => place.replaceChildren(...lines.filter((one) => one !== null));
    relay.ready.then(({ relays, why }) => {
        lines[0] = relays
            ? make("span", {}, "OpenAI clients in this page can use the tab’s model at ", make("code", {}, "v1/"), ". ")
            : make("span", {}, `OpenAI clients in this page can’t use the tab’s model: ${why}. `);
        if (relays) lines[1] = make("span", {}, "Saving the site for offline use …");
        show();
    });
    relay.offline.then(async ({ complete, why }) => {
        const works = (await keepsModels())
            ? "The site works offline."
            : "The site works offline, but this browser can’t store models: each visit downloads one.";
        const words = complete ? works : `The site does not work offline yet: ${why}.`;
        lines[1] = make("span", {}, words);
        show();
    });
    if (!self.crossOriginIsolated) await relay.ready;
}
