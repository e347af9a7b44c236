import type { ChatMessage } from "./chat-messages.js";

// Finds which message wrote which part of a rendering. The template is changed so that each of its loops over messages
// writes a mark where the turn of a message begins and where it ends. Templates that keep the tags in a text of their
// own, or print whole messages, come out otherwise than without the marks; for these there is no answer.

/** Half-open ranges of UTF-16 units, in order. */
export type Spans = readonly (readonly [start: number, end: number])[];

/**
 * Key of a message's mark. Unicode reserves these characters for use inside programs, so texts contain them only if
 * somebody put them there.
 */
const KEY = "\ufdd0";
const LEAVE = "\ufdd0/\ufdd1";
const MARK = /\ufdd0(\d+|\/)\ufdd1/;

/** A comment, a raw block, an expression or a statement of Jinja. */
const TAG = (() => {
  const inside = String.raw`(?:"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*'|[^"'])*?`;
  const raw = String.raw`\{%[-+]?\s*raw\s*[-+]?%\}[\s\S]*?\{%[-+]?\s*endraw\s*[-+]?%\}`;
  return new RegExp(String.raw`\{#[\s\S]*?#\}|${raw}|\{\{${inside}\}\}|\{%${inside}%\}`, "g");
})();
const STATEMENT = /^\{%([-+]?)\s*(for|endfor|break|continue|set)\b([\s\S]*?)([-+]?)%\}$/;

/**
 * The template with marks. A loop goes over messages by its item, or by an index of which its body takes the message:
 * `{% for i in range(n) %}{% set message = messages[i] %}`.
 */
export function markTurns(template: string): string {
  const loops: string[][] = [];
  return template.replace(TAG, (tag) => {
    const [, left, word, rest, right] = STATEMENT.exec(tag) ?? [];
    const loop = loops.at(-1);
    switch (word) {
      case "for": {
        const item = /^\s+(\w+)\s+in\b/.exec(rest!)?.[1];
        loops.push(item === undefined ? [] : [item]);
        return item === undefined ? tag : entered(tag, item, right!);
      }
      case "set": {
        const [, name, index] = /^\s+(\w+)\s*=\s*\w+\[\s*(\w+)\s*\]\s*$/.exec(rest!) ?? [];
        if (name === undefined || index !== loop?.[0]) return tag;
        loop!.push(name);
        return entered(tag, name, right!);
      }
      case "endfor":
        loops.pop();
        break;
      case "break":
      case "continue":
        break;
      default:
        return tag;
    }
    if (loop === undefined || loop.length === 0) return tag;
    const leaving = loop.map((name) => `${isMessage(name)}{{ "${LEAVE}" }}{% endif %}`).join("");
    // The first statement takes over the mark for whitespace before the tag.
    return `${leaving.replace("{%", `{%${left}`)}{% ${word} ${right}%}`;
  });
}

/** The statement, and the mark of the message that it takes up. */
function entered(tag: string, name: string, right: string): string {
  const statement = right === "" ? tag : `${tag.slice(0, -2 - right.length)}%}`;
  // The last statement takes over the mark for whitespace behind the tag.
  return `${statement}${isMessage(name)}{{ ${name}["${KEY}"] }}{% endif ${right}%}`;
}

function isMessage(name: string): string {
  return `{% if ${name} is mapping and ${name}["${KEY}"] is defined %}`;
}

/** Messages with the marks that a marked template writes. */
export function markedMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((message, index) => ({ ...message, [KEY]: `\ufdd0${index}\ufdd1` }));
}

/** A part of a rendering, and the index of the message whose turn it is; undefined outside of turns. */
interface Piece {
  readonly text: string;
  readonly message: number | undefined;
}

/** The text of a marked rendering, and the ranges of each message's turn. */
export interface Turns {
  readonly text: string;
  /** By index of the message; missing for one that no loop went over. */
  readonly spans: ReadonlyMap<number, Spans>;
  /** The text behind the last turn. */
  readonly tail: string;
}

/** Takes a marked rendering apart. */
export function readTurns(marked: string): Turns {
  const pieces = piecesOf(marked);
  const spans = new Map<number, [number, number][]>();
  let position = 0;
  for (const { text, message } of pieces) {
    if (message !== undefined) {
      const own = spans.get(message) ?? [];
      spans.set(message, own);
      const last = own.at(-1);
      if (last?.[1] === position) last[1] += text.length;
      else if (text !== "") own.push([position, position + text.length]);
    }
    position += text.length;
  }
  const last = pieces.at(-1)!;
  return {
    text: pieces.map(({ text }) => text).join(""),
    spans,
    tail: last.message === undefined ? last.text : "",
  };
}

function piecesOf(marked: string): Piece[] {
  const pieces: Piece[] = [];
  const open: number[] = [];
  for (const [index, part] of marked.split(MARK).entries()) {
    if (index % 2 === 0) pieces.push({ text: part, message: open.at(-1) });
    else if (part === "/") open.pop();
    else open.push(Number(part));
  }
  return pieces;
}
