// Requests an answer from itself through the service worker. It takes ?seconds= and comes in the way of ?way=; a clock
// answers, not a model. Reports what was received.
import { connect } from "./relay.js";

const options = new URLSearchParams(location.search);
const seconds = Number(options.get("seconds"));
const pause = (s) => new Promise((resolve) => setTimeout(resolve, 1000 * s));
const bytes = (text) => new TextEncoder().encode(text);

/** Pieces: one per second, or one at the start and one at the end. */
async function* pieces(way) {
    yield bytes("0");
    for (let i = 1; i < seconds; i++) {
        await pause(1);
        if (way === "stream") yield bytes("+");
    }
    yield bytes("1");
}

async function fetch_(_path, { signal }) {
    signal.addEventListener("abort", () => report("aborted"));
    const way = options.get("way");
    if (way === "whole") await pause(seconds);
    if (way === "whole") return new Response("whole");
    const coming = pieces(way);
    const pull = async (body) => {
        const { value, done } = await coming.next();
        if (done) body.close();
        else body.enqueue(value);
    };
    return new Response(new ReadableStream({ pull }));
}

async function report(what) {
    await fetch("/report", { method: "POST", body: JSON.stringify([options.get("way"), what]) });
}

const { ready } = connect({ fetch: fetch_ }, { serves: () => true });
const { relays, why } = await ready;
if (!relays) await report(why);
try {
    const answer = await fetch("v1/long");
    await report(`${answer.status} ${await answer.text()}`);
} catch (error) {
    await report(`${error.name}: ${error.message}`);
}
