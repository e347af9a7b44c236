import type { TokenListener, WrittenToken } from "../../programs/draft.js";
import type { Piece, PieceScore, PieceToken } from "./messages.js";

/** Joins the tokens of an answer to the pieces of text that they belong to. */
export class Pieces {
  /** Listens to the tokens; undefined if nobody asks for them. */
  readonly listener: TokenListener | undefined;
  readonly #textOf: (id: number) => string;
  readonly #post: (piece: Piece) => void;
  readonly #waiting: WrittenToken[] = [];
  /** Characters that were posted. */
  #length = 0;

  /** @param likeliest number of likeliest tokens beside each; null for no tokens. */
  constructor(likeliest: number | null, textOf: (id: number) => string, post: (piece: Piece) => void) {
    this.#textOf = textOf;
    this.#post = post;
    if (likeliest !== null) this.listener = { likeliest, onToken: (token) => void this.#waiting.push(token) };
  }

  /** Takes the next characters of the text. */
  push(text: string): void {
    this.#length += text.length;
    // Tokens that begin within the text are part of it.
    const next = this.#waiting.findIndex(({ offset }) => offset >= this.#length);
    const tokens = this.#waiting.splice(0, next === -1 ? this.#waiting.length : next);
    this.#post({ text, tokens: tokens.map((token) => this.#pieceToken(token)) });
  }

  /** Posts the tokens that gave no text. @param isStopped true if they are a stop text, and no part of the answer. */
  end(isStopped: boolean): void {
    const tokens = isStopped ? [] : this.#waiting.splice(0);
    if (tokens.length > 0) this.#post({ text: "", tokens: tokens.map((token) => this.#pieceToken(token)) });
  }

  #pieceToken({ id, logprob, offset, likeliest }: WrittenToken): PieceToken {
    const scored = (score: { readonly id: number; readonly logprob: number }): PieceScore => ({
      id: score.id,
      text: this.#textOf(score.id),
      logprob: score.logprob,
    });
    return { ...scored({ id, logprob }), offset, likeliest: likeliest.map(scored) };
  }
}
