// Says what the service worker does for this page: clients of OpenAI's API, and the site without a network.
import { connect } from "../relay.js";
import { byId, make } from "./dom.js";
import { keepsModels } from "./tab.js";

/** Join the service worker. Resolves when the page may go on: not at all where it is about to be loaded anew. */
export async function offlineLine(tab) {
    const place = byId("relay");
    const relay = connect(tab.gemel, { serves: () => tab.isLoaded });
    const told = [null, null]; // of the relay, of the copy
    const show = () => place.replaceChildren(...told.filter((one) => one !== null));
    relay.ready.then(({ relays, why }) => {
        told[0] = relays
            ? make(
                  "span",
                  {},
                  "Any OpenAI client in this page reaches the tab’s model at ",
                  make("code", {}, "v1/"),
                  ". ",
              )
            : make("span", {}, `No OpenAI client in this page reaches the tab’s model: ${why}. `);
        if (relays) told[1] = make("span", {}, "The site is being kept for offline use …");
        show();
    });
    relay.offline.then(async ({ complete, why }) => {
        const works = (await keepsModels())
            ? "The site works offline."
            : "The site works offline, but this browser keeps no models for it: each visit downloads one.";
        const words = complete ? works : `The site does not work offline yet: ${why}.`;
        told[1] = make("span", {}, words);
        show();
    });
    if (!self.crossOriginIsolated) await relay.ready;
}
