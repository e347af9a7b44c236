import type { ErrorParts } from "../../base/error-parts.js";
import type { Conversation } from "../../chats/chat-rendering.js";
import type { DownloadProgress } from "../../hub/model-download.js";
import type { Answer } from "../../programs/text-generator.js";
import type { WriterOptions } from "../generate.js";

// What the threads of a server tell one another: the one that answers requests, and the engine, which computes.

/** What the engine is started with. */
export interface EngineJob extends Omit<WriterOptions, "onDownload" | "onNotice" | "adapter" | "adapters"> {
  readonly target: string;
  /** PEFT adapters beside the target, by the names of their models. */
  readonly adapters: Readonly<Record<string, string>>;
  /** The model that the target itself is called. */
  readonly name: string;
  /** Answers at once; null for as many as the memory allows. */
  readonly parallel: number | null;
  /** Most tokens of a prompt and its answer together; null for as many as the model sees. */
  readonly contextTokens: number | null;
}

/** A prompt, and how it is to be answered. */
export interface Question {
  readonly model: string;
  /** A text or tokens to continue, or a conversation in which the assistant speaks next. */
  readonly prompt: string | readonly number[] | Conversation;
  /** Null: until the context is full. */
  readonly maxNewTokens: number | null;
  readonly temperature: number;
  readonly topK: number | null;
  readonly topP: number;
  readonly seed: number;
  readonly stop: readonly string[];
  /** Number of likeliest tokens to tell beside each; null to tell no scores. */
  readonly likeliest: number | null;
}

export function isConversation(prompt: Question["prompt"]): prompt is Conversation {
  return typeof prompt === "object" && !Array.isArray(prompt);
}

export interface PieceScore {
  readonly id: number;
  readonly text: string;
  readonly logprob: number;
}

/** A token of a piece, with the likeliest ones in its place. */
export interface PieceToken extends PieceScore {
  /** Characters of the answer before it. */
  readonly offset: number;
  readonly likeliest: readonly PieceScore[];
}

/** A part of an answer. */
export interface Piece {
  readonly text: string;
  /** Its tokens, if they were asked for. */
  readonly tokens: readonly PieceToken[];
}

/** The end of an answer. */
export type Ending = Pick<Answer, "tokens" | "promptTokens" | "finish">;

/** A question that is not answered, and the status of HTTP for that. */
export interface Refusal {
  readonly status: 400 | 500 | 503;
  /** A word for programs. */
  readonly code: string;
  readonly message: string;
}

export type ToEngine =
  | { readonly kind: "ask"; readonly id: number; readonly question: Question }
  /** Nobody hears the answer any more. */
  | { readonly kind: "leave"; readonly id: number }
  /** Time is up: the answer ends as it is, or is refused where it has not begun. */
  | { readonly kind: "cut"; readonly id: number }
  | { readonly kind: "close" };

export type FromEngine =
  | { readonly kind: "notice"; readonly text: string }
  | { readonly kind: "download"; readonly progress: DownloadProgress }
  | { readonly kind: "ready"; readonly models: readonly string[]; readonly parallel: number }
  /** A chat has its prompt, and waits for its answer as others do. */
  | { readonly kind: "rendered"; readonly id: number }
  | { readonly kind: "begun"; readonly id: number }
  | { readonly kind: "piece"; readonly id: number; readonly piece: Piece }
  | { readonly kind: "ended"; readonly id: number; readonly ending: Ending }
  | { readonly kind: "refused"; readonly id: number; readonly refusal: Refusal }
  | { readonly kind: "failed"; readonly error: ErrorParts }
  | { readonly kind: "closed" };
