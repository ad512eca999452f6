// Plots tokens per second: one bar per quarter of a second, in the colour of the host.
import { svg } from "./dom.js";
import { rate } from "./format.js";

const MOMENT = 250; // milliseconds per bar
const BARS = 80;
const [WIDTH, HEIGHT] = [240, 60];

export class Plot {
    #bars = []; // [tokens/s, host], the newest last
    #paths = { tab: svg("path", { class: "bars tab" }), native: svg("path", { class: "bars native" }) };
    #mean = svg("path", { class: "mean" });
    #begun = null; // of the running answer: {host, time, count, bars}

    constructor(place, scale) {
        this.place = place;
        this.scale = scale;
        place.append(this.#paths.tab, this.#paths.native, this.#mean);
    }

    begin(host) {
        if (this.#bars.length) this.#push(0, host); // a gap between two answers
        this.#begun = { host, time: null, count: 0, bars: 0 };
    }

    /** Take the number of tokens so far; return tokens/s when a bar is complete, else null. */
    note(count, now = performance.now()) {
        const begun = this.#begun;
        if (begun.time === null) {
            Object.assign(begun, { time: now, count });
            return null;
        }
        if (now - begun.time < MOMENT) return null;
        const speed = ((count - begun.count) * 1000) / (now - begun.time);
        Object.assign(begun, { time: now, count });
        begun.bars++;
        this.#push(speed, begun.host);
        this.#draw();
        return speed;
    }

    /** Describe the plot in words for screen readers, and draw the mean. */
    end(mean) {
        if (this.#begun.bars === 0) this.#push(mean, this.#begun.host); // the answer was shorter than a bar
        const own = this.#bars.filter(([speed]) => speed > 0).map(([speed]) => speed);
        const range = own.length
            ? `, between ${rate(Math.min(...own))} and ${rate(Math.max(...own))} in the last moments`
            : "";
        this.place.setAttribute("aria-label", `Tokens per second: ${rate(mean)} in the last answer${range}`);
        this.#draw(mean);
    }

    #push(speed, host) {
        this.#bars.push([speed, host]);
        if (this.#bars.length > BARS) this.#bars.shift();
    }

    #draw(mean = null) {
        const top = Math.max(1, ...this.#bars.map(([speed]) => speed), mean ?? 0);
        const lines = { tab: "", native: "" };
        const step = WIDTH / BARS;
        this.#bars.forEach(([speed, host], i) => {
            const x = WIDTH - (this.#bars.length - i - 0.5) * step;
            if (speed > 0) lines[host] += `M${x.toFixed(1)} ${HEIGHT}V${(HEIGHT * (1 - speed / top)).toFixed(1)}`;
        });
        for (const host in lines) this.#paths[host].setAttribute("d", lines[host]);
        const y = mean === null ? null : (HEIGHT * (1 - mean / top)).toFixed(1);
        this.#mean.setAttribute("d", y === null ? "" : `M0 ${y}H${WIDTH}`);
        this.scale.textContent = rate(top);
    }
}
