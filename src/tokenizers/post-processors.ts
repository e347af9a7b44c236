import { isObject, shownValue } from "../base/json.js";
import { build, type Part, partOf, partsOf } from "./part.js";
import { requireId } from "./token-model.js";

/** The tokens that a tokenizer puts around a text. */
export interface Surround {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const NOTHING: Surround = { before: [], after: [] };

/** Reads the post-processor of a tokenizer.json. @throws Error for one that is not known. */
export function surroundOf(part: Part | null): Surround {
  return part === null ? NOTHING : build(KINDS, part, "post_processor");
}

const KINDS: Readonly<Record<string, (part: Part) => Surround>> = {
  // Moves the ends of tokens in the text, of which only those who ask for offsets hear.
  ByteLevel: () => NOTHING,
  Sequence: (part) =>
    partsOf(part, "processors")
      .map((each) => build(KINDS, each, "post_processor"))
      .reduce(
        (inner, outer) => ({
          before: [...outer.before, ...inner.before],
          after: [...inner.after, ...outer.after],
        }),
        NOTHING,
      ),
  TemplateProcessing: (part) => {
    const tokens = partOf(part.special_tokens, "special_tokens") ?? {};
    const pieces = partsOf(part, "single");
    const sequence = pieces.findIndex((piece) => "Sequence" in piece);
    if (sequence < 0 || pieces.filter((piece) => "Sequence" in piece).length > 1) {
      throw new Error(`single must have the text once, not ${shownValue(pieces)}`);
    }
    const idsOf = (piece: Part): number[] => {
      const id = isObject(piece.SpecialToken) ? piece.SpecialToken.id : undefined;
      const token = typeof id === "string" && Object.hasOwn(tokens, id) ? tokens[id] : undefined;
      const ids: unknown = isObject(token) ? token.ids : undefined;
      if (!Array.isArray(ids)) throw new Error(`special_tokens must have the ids of ${shownValue(piece)}`);
      for (const each of ids) requireId(id, each);
      return ids;
    };
    return {
      before: pieces.slice(0, sequence).flatMap(idsOf),
      after: pieces.slice(sequence + 1).flatMap(idsOf),
    };
  },
  BertProcessing: bertProcessing,
  RobertaProcessing: bertProcessing,
};

function bertProcessing(part: Part): Surround {
  const idOf = (key: string): number => {
    const pair: unknown = part[key];
    const [token, id] = Array.isArray(pair) ? (pair as unknown[]) : [key, undefined];
    requireId(token, id);
    return id;
  };
  return { before: [idOf("cls")], after: [idOf("sep")] };
}
