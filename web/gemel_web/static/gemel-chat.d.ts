import type { ChatOptions, GemelError, Info, LoadOptions, Message, ModelSource, Progress, Result } from "./gemel.js";
import { Gemel } from "./gemel.js";

export * from "./gemel.js";

/** What a listener of <gemel-chat> gets as `event.detail`. */
export interface GemelChatEvents {
    ready: CustomEvent<Info>;
    progress: CustomEvent<Progress>;
    piece: CustomEvent<{ text: string }>;
    done: CustomEvent<Result>;
    error: CustomEvent<GemelError>;
}

/** <gemel-chat model="..." system="..." threads="2" placeholder="..." base="..." models="..." autoload> */
export class GemelChat extends HTMLElement {
    /** What has been said; may be edited while nothing is being answered. */
    messages: Message[];
    /** Options of each answer. */
    options: ChatOptions;
    readonly gemel: Gemel;
    readonly info: Info | null;
    readonly cache: Gemel["cache"];
    readonly generate: Gemel["generate"];
    readonly chat: Gemel["chat"];
    readonly embed: Gemel["embed"];
    readonly run: Gemel["run"];
    /** Default: the attribute `model`, or what was loaded by hand since that was set. */
    load(model?: ModelSource, options?: LoadOptions): Promise<Info>;
    /** Ask as a visitor does; null when there is no answer: it failed, or was stopped before its first token. */
    ask(text: string): Promise<Result | null>;
    stop(): void;
    /** End the worker; the next message loads the model again (but bytes, which are not kept). */
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

/** Say in words how far a load is. */
export function words(progress: Progress): string;

declare global {
    interface HTMLElementTagNameMap {
        "gemel-chat": GemelChat;
    }
}
