import type {
    ChatOptions,
    ChatResult,
    GemelError,
    Info,
    LoadOptions,
    Message,
    ModelSource,
    OpenAITool,
    Part,
    Progress,
    Tool,
} from "./gemel.js";
import { Gemel } from "./gemel.js";

export * from "./gemel.js";

/** The events of <gemel-chat>, with their `event.detail`. */
export interface GemelChatEvents {
    ready: CustomEvent<Info>;
    progress: CustomEvent<Progress>;
    part: CustomEvent<Part>;
    piece: CustomEvent<{ text: string }>;
    done: CustomEvent<ChatResult>;
    error: CustomEvent<GemelError>;
}

/** <gemel-chat model="..." system="..." threads="2" placeholder="..." base="..." models="..." json-schema="..."
    ask-above="20" autoload> */
export class GemelChat extends HTMLElement {
    /** The conversation; may be edited while no answer is running. */
    messages: Message[];
    /** Options of each answer. */
    options: ChatOptions;
    /** What the model may call. Calls and their results are shown folded. */
    tools: (Tool | OpenAITool)[];
    readonly gemel: Gemel;
    readonly info: Info | null;
    readonly cache: Gemel["cache"];
    readonly generate: Gemel["generate"];
    readonly chat: Gemel["chat"];
    readonly embed: Gemel["embed"];
    readonly run: Gemel["run"];
    /** Default: the model last passed to load() since the `model` attribute was set, else the attribute's. */
    load(model?: ModelSource | null, options?: LoadOptions | null): Promise<Info>;
    /** Ask a question, as a visitor does. null: it failed, or was stopped before the first token. */
    ask(text: string): Promise<ChatResult | null>;
    stop(): void;
    /** End the worker. The next message loads the model again, except a model given as bytes, which are not kept. */
    close(): void;
    addEventListener<K extends keyof GemelChatEvents>(
        type: K,
        listener: (this: GemelChat, event: GemelChatEvents[K]) => unknown,
        options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener(
        type: string,
        listener: EventListenerOrEventListenerObject,
        options?: boolean | AddEventListenerOptions,
    ): void;
}

/** Describe the progress of a load in words. */
export function words(progress: Progress): string;

declare global {
    interface HTMLElementTagNameMap {
        "gemel-chat": GemelChat;
    }
}
