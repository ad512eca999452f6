// gemel's own page: connects its parts. A host (tab.js, native.js) answers questions; this file knows nothing of how
// text is generated.
import { Attachments } from "./attachments.js";
import { KNOWN } from "./catalog.js";
import { Cell } from "./cell.js";
import { ChatsPanel } from "./chats_panel.js";
import { Consent, Sizes } from "./consent.js";
import { Conversation } from "./conversation.js";
import { Counter } from "./counter.js";
import { Speeds } from "./device.js";
import { button, byId, make } from "./dom.js";
import { draftOf, keepDraft } from "./draft.js";
import { drawer } from "./drawer.js";
import { details, explained } from "./errors.js";
import { Figures } from "./figures.js";
import { isGguf } from "./files.js";
import { bytes, capital, shortName } from "./format.js";
import { help, showLinks } from "./help.js";
import { Hosts } from "./hosts.js";
import { Kept } from "./kept.js";
import { ModelsPanel } from "./models.js";
import { ObjectPanel } from "./object.js";
import { offlineLine } from "./offline_line.js";
import { ProgressView } from "./progress.js";
import { Settings } from "./settings.js";
import { settingsPanel } from "./settings_panel.js";
import { dialog, sheets } from "./sheets.js";
import { voiceInput } from "./speech.js";
import { Store } from "./store.js";
import { systemPrompts } from "./system.js";
import { unable } from "./tab.js";
import { Tools } from "./tools.js";
import { focusField, labelEnter, sends } from "./touch.js";

const settings = new Settings();
const hosts = new Hosts();
const figures = new Figures();
const tools = new Tools(settings);
const store = new Store();
const kept = new Kept(store, (words) => talk.note(words));
kept.onElsewhere = elsewhere;
const openModels = () => byId("models").open_();
const speeds = new Speeds();
const sizes = new Sizes(hosts.tab.gemel);
const page = { hosts, settings, tools, figures, kept, speeds, changed: () => show(), openKey, openModels };
const talk = new Conversation(page);
const cell = new Cell();
const counter = new Counter(page, (text) => talk.messagesFor(text, attachments.files));
const say = (words) => (byId("status").textContent = words);
const attachments = new Attachments(page, say, () => counter.typed(question.value));
const question = byId("question");
let resolveConfigured; // call when config.json has been read
const configured = new Promise((resolve) => (resolveConfigured = resolve));

const WHERE_TEXT_GOES = {
    tab: "A language model that runs in this tab. Nothing you type leaves this device.",
    native: `A language model on the server of this page. What you type is sent to ${location.host}, and nowhere else.`,
};

// ---- What is shown --------------------------------------------------------------------------------------------------

function show() {
    const name = hosts.modelName;
    byId("welcome").hidden = !talk.isEmpty;
    byId("send").hidden = talk.busy;
    byId("stop").hidden = !talk.busy;
    byId("sofar").hidden = !talk.busy;
    byId("new").disabled = talk.isEmpty;
    byId("private").hidden = !kept.isPrivate;
    byId("model-name").textContent = name ?? "choose a model";
    const { tab, current } = hosts;
    const size = hosts.offered.find(({ url }) => url === tab.source)?.size ?? tab.source?.size;
    const uncached = current === tab && tab.isLoaded ? tab.info.why_uncached : null;
    const loaded = uncached === null ? "loaded" : "loaded, not stored";
    const state = current === hosts.native ? "on the server" : tab.isLoaded ? loaded : size ? bytes(size) : "";
    byId("model-state").textContent = state;
    byId("model-state").title = uncached ?? "";
    byId("ready-model").textContent = name === null ? "none: choose one above" : `${name}${state ? `, ${state}` : ""}`;
    byId("lead").textContent = WHERE_TEXT_GOES[current.name];
    byId("ready-host").textContent = current === tab ? "this tab" : "the native server";
    byId("ready-why").textContent = current === tab && hosts.native.why !== null ? `: ${hosts.native.why}` : "";
    document.documentElement.dataset.host = current.name;
}

function openKey() {
    byId("settings").open_();
    byId("key").focus();
}

// ---- Asking ---------------------------------------------------------------------------------------------------------

let begins = Promise.resolve(); // done when the newest conversation has begun: what is sent meanwhile belongs to it

async function ask(text) {
    await configured;
    await begins;
    if (!text || talk.busy) return;
    if (hosts.current === hosts.tab && hosts.tab.source === null) {
        byId("status").textContent = "Choose a model first.";
        openModels();
        return;
    }
    const { files } = attachments;
    attachments.set([]);
    type("");
    keep();
    byId("status").textContent = "";
    await talk.ask(text, { files });
    if (document.activeElement === document.body) focusField(question);
}

/** Put a text into the message field. */
function type(text) {
    question.value = text;
    grow();
    counter.typed(text);
}

/** Put the conversation's draft into the message field, before what was typed while the page started. */
function start() {
    const typed = question.value;
    type([draftOf(kept.id), typed].filter(Boolean).join("\n"));
    if (typed) keep();
}

/** Keep what is typed, for a reload. */
function keep() {
    if (!kept.isPrivate) keepDraft(kept.id, question.value);
}

/** Browsers without field-sizing. */
function grow() {
    if (!CSS.supports("field-sizing", "content")) question.rows = Math.min(8, question.value.split("\n").length);
}

/** Begin a new conversation. */
async function fresh(options) {
    const begun = talk.clear(options);
    begins = begun.catch(() => {}); // its caller reports the error
    await begun;
    type(kept.isPrivate ? "" : draftOf(kept.id));
    focusField(question);
}

/** Open a kept conversation. */
async function open(id, how) {
    try {
        if (!(await talk.open(id, how))) return;
    } catch (error) {
        talk.note(`The conversation could not be opened: ${error.message}.`);
        return;
    }
    if (how?.isStart) start();
    else type(draftOf(kept.id));
}

/** Make the tab ready for a question. */
function warm() {
    if (hosts.current === hosts.tab) hosts.tab.warm().then(show);
}

/** Another tab has stored the conversation that is open here: offer what it has. */
function elsewhere(id) {
    if (talk.busy || document.querySelector(".note.elsewhere") !== null) return;
    const show = button("again", "Show the other tab’s version", () => open(id));
    const place = talk.note("Another tab has changed this conversation.", make("p", { class: "row" }, show));
    place.classList.add("elsewhere");
}

function composer() {
    byId("send").addEventListener("click", () => ask(question.value.trim())); // a sandboxed frame may submit no form
    byId("composer").addEventListener("submit", (event) => {
        event.preventDefault();
        ask(question.value.trim());
    });
    question.addEventListener("keydown", (event) => {
        if (!sends(event)) return;
        event.preventDefault();
        ask(question.value.trim());
    });
    question.addEventListener("focus", () => configured.then(warm), { once: true });
    question.addEventListener("input", () => {
        grow();
        keep();
        counter.typed(question.value);
    });
    byId("stop").addEventListener("click", () => talk.stop());
    byId("sofar").addEventListener("click", () => talk.readSoFar());
    labelEnter(question);
    byId("ideas").addEventListener("click", ({ target }) => {
        if (target instanceof HTMLButtonElement) ask(target.textContent);
    });
    byId("new").addEventListener("click", () => fresh());
    document.addEventListener("keydown", (event) => {
        if (event.key === "Escape" && talk.busy && document.querySelector("dialog[open]") === null) talk.stop();
    });
}

// ---- Models ---------------------------------------------------------------------------------------------------------

/** Load a model into the tab and select the tab. `source` is an address, a short name or a File. */
async function choose(source) {
    await talk.settle();
    const before = { source: hosts.tab.source, host: hosts.current.name };
    hosts.tab.source = source;
    hosts.choose("tab");
    await talk.busily((signal) => load(source, signal, before));
}

async function load(source, signal, before) {
    const name = shortName(source);
    const bars = new ProgressView();
    const place = talk.note(`Loading ${name} in this tab.`, bars.element);
    const say = (words) => {
        place.querySelector("p").textContent = words;
        talk.announce(words);
    };
    try {
        const info = await hosts.tab.load({ signal, onProgress: (state) => bars.show(state) });
        figures.where("tab", "This tab", info.why);
        figures.engine(info);
        remember(source);
        const base = info.has_chat
            ? ""
            : " It has no chat template: it can continue a text in a Python cell, but not chat.";
        const many = info.threads === 1 ? "one thread" : `${info.threads} threads`;
        const visits = info.why_uncached === null ? "" : ` Each visit downloads it: ${info.why_uncached}.`;
        say(`${name} runs in this tab: ${many}, ${info.isa}.${visits}${base}`);
    } catch (error) {
        if (signal.aborted) {
            remember(source);
            say(`Loading ${name} was stopped. Your next question resumes it.`);
        } else {
            const offer = before.host === "tab" && hosts.why("native") === null;
            const instead = offer ? " You can choose the native server above." : "";
            const no = error.name === "DeclinedError";
            const { words, detail } = explained(error);
            say(no ? words : `${name} could not be loaded in this tab. ${words}${instead}`);
            place.append(...[details(detail)].filter(Boolean));
            goBack(before);
        }
        if (before.source !== null && before.source !== source) place.append(goOn(before.source));
    }
    bars.element.remove();
}

/** Choose what was chosen before a model that could not be loaded. */
function goBack({ source, host }) {
    hosts.tab.source = source;
    hosts.choose(host);
}

/** A button that goes on with a model: it is still loaded, or is loaded again. */
function goOn(source) {
    const row = make("p", { class: "row" });
    const press = () => {
        row.remove();
        if (hosts.tab.source !== source || !hosts.tab.isLoaded) choose(source);
        focusField(question);
    };
    row.append(button("again", `Go on with ${shortName(source)}`, press));
    return row;
}

/** Start with this model on the next visit, if it is not a file: that can't be reopened. The Python cell opens it. */
function remember(source) {
    settings.set("host", "tab");
    if (typeof source !== "string") return;
    settings.set("model", source);
    cell.model = source;
}

function chooseServed(alias) {
    hosts.native.model = alias;
    hosts.choose("native");
    show();
}

/** Load the first model that is among dropped files, and attach the others. */
async function dropped(files) {
    const isModel = await Promise.all(files.map(isGguf));
    const model = files[isModel.indexOf(true)];
    if (model !== undefined) choose(model);
    const others = files.filter((file) => file !== model);
    if (others.length) attachments.add(others);
}

function dropping() {
    const place = byId("drop");
    const hasFile = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
        if (!hasFile(event)) return;
        event.preventDefault();
        place.hidden = false;
    });
    addEventListener("dragleave", (event) => {
        if (event.relatedTarget === null) place.hidden = true;
    });
    addEventListener("drop", (event) => {
        if (!hasFile(event)) return;
        event.preventDefault();
        place.hidden = true;
        document.querySelector("dialog[open]")?.close();
        dropped([...event.dataTransfer.files]);
    });
}

// ---- Starting -------------------------------------------------------------------------------------------------------

/** Read config.json: which models this site offers, and whether it has a native server. */
async function configure() {
    let config;
    let isCopy = false; // sw.js answered from its copy: the server can't be reached
    try {
        const answer = await fetch("config.json", { cache: "no-cache" });
        if (!answer.ok) throw new Error(`config.json: the server answers ${answer.status}`);
        isCopy = answer.headers.has("Gemel-Copy");
        config = await answer.json();
        hosts.offered = config.models
            .filter(({ url }) => url !== null)
            .map(({ alias, url, size }) => ({ alias, size, url: new URL(url, document.baseURI).href }));
        for (const { url, size } of hosts.offered) sizes.note(url, size);
        showLinks(config.links);
    } catch (error) {
        talk.note(`The site’s list of models could not be read (${error.message}). Enter a name, or drop a file here.`);
        config = { native: false };
    }
    hosts.tab.source = settings.get("model") ?? hosts.offered[0]?.url ?? null;
    if (typeof hosts.tab.source === "string") cell.model = hosts.tab.source;
    hosts.native.wantsKey = config.key === true;
    if (isCopy) hosts.native.why = "the server is out of reach, and this page is the browser’s copy";
    else if (config.native) await hosts.native.look();
    byId("key-field").hidden = config.key !== true;
    byId("key").value = hosts.native.key;
}

async function begin() {
    for (const words of settings.notes) talk.note(words);
    for (const { address, size } of KNOWN) sizes.note(address, size);
    const consent = new Consent(hosts.tab, sizes);
    hosts.tab.mayLoad = (source, signal) => consent.need(source, signal);
    settingsPanel(settings, hosts.native);
    dialog("settings", "open-settings");
    const models = new ModelsPanel({ hosts, speeds, sizes, choose, chooseServed }, byId("models"), hosts.offered);
    dialog("models", "open-models", () => Object.assign(models, { offered: hosts.offered }).show());
    const chats = new ChatsPanel({ store, kept, open, fresh }, byId("chats"));
    dialog("chats", "open-chats", () => chats.show());
    dialog("object", "open-object");
    dialog("tools", "open-tools");
    new ObjectPanel({ hosts, settings, configured, isBusy: () => talk.busy });
    sheets();
    help();
    drawer(settings);
    systemPrompts(settings);
    voiceInput((words) => {
        type(question.value ? `${question.value} ${words}` : words);
        keep();
    });
    composer();
    dropping();
    await offlineLine(hosts.tab);
    await configure();
    resolveConfigured();
    const why = unable();
    if (why !== null) {
        const instead = hosts.native.why === null;
        hosts.choose(instead ? "native" : "tab");
        talk.note(
            instead
                ? `${capital(why)}, so the model can’t run in this tab. The native server answers instead.`
                : `${capital(why)}, so the model can’t run in this tab, and ${hosts.native.why}.`,
        );
    } else if (settings.get("host") === "native" && hosts.native.why === null) {
        hosts.choose("native");
    } else if (settings.get("host") === "native") {
        talk.note(`You chose the native server last time, but ${hosts.native.why}. This tab answers instead.`);
    }
    hosts.addEventListener("change", show);
    hosts.addEventListener("back", () => talk.note("The native server is back."));
    hosts.addEventListener("chosen", ({ detail }) => settings.set("host", detail));
    hosts.show();
    if (kept.before === null) start();
    else await open(kept.before, { isStart: true });
    show();
    document.documentElement.dataset.ready = "";
    if (speeds.has(hosts.tab.modelName) && sizes.isSmall(hosts.tab.source)) warm(); // it has answered here before
}

await begin();
