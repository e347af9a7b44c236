import { z } from "zod";
import type { StoredBytes } from "#platform";
import { bytesOf } from "../base/arrays.js";
import { COUNT, TEXT } from "../base/fields.js";
import type { TokenSource } from "./encoded-data.js";
import { SampleStore } from "./sample-store.js";
import { partsOf, TokenStore } from "./token-store.js";

const TOKEN_BYTES = Int32Array.BYTES_PER_ELEMENT;

const TEXTS = { kind: z.literal("texts"), tokens: COUNT, documents: COUNT };
const SAMPLES = {
  kind: z.literal("samples"),
  tokens: COUNT,
  samples: COUNT,
  sources: z.array(z.object({ path: TEXT, unit: z.enum(["line", "row", "record", "document"]) })),
};

/** Sizes of tokens in a file: 4 bytes each, and those of samples as `SampleStore.stored` says. */
export type KeptTokens = z.output<typeof KEPT_TOKENS>;

export const KEPT_TOKENS = z.discriminatedUnion("kind", [z.object(TEXTS), z.object(SAMPLES)]);

/** Tokens as bytes of a file, and what tells how to read them. */
export function keepTokens(source: TokenSource): { readonly facts: KeptTokens; readonly bytes: Iterable<Uint8Array> } {
  if (source.kind === "texts") {
    const { tokens, documents } = source;
    const bytes = (function* () {
      for (const part of partsOf(tokens)) yield bytesOf(part);
    })();
    return { facts: { kind: "texts", tokens: tokens.length, documents }, bytes };
  }
  const { facts, bytes } = source.samples.stored;
  return { facts: { kind: "samples", ...facts, sources: [...facts.sources] }, bytes };
}

/** Bytes of the tokens in their file. */
export function keptBytes(facts: KeptTokens): number {
  if (facts.kind === "texts") return facts.tokens * TOKEN_BYTES;
  return 2 * facts.tokens * TOKEN_BYTES + 3 * facts.samples * Float64Array.BYTES_PER_ELEMENT;
}

/** @throws DataError if the bytes cannot be read; RangeError if they are not such tokens. */
export function openKeptTokens(bytes: StoredBytes, offset: number, facts: KeptTokens): TokenSource {
  if (facts.kind === "samples") return { kind: "samples", samples: SampleStore.ofStored(bytes, offset, facts) };
  const tokens = TokenStore.stored(bytes, offset, facts.tokens);
  return { kind: "texts", tokens, largest: tokens.largest, documents: facts.documents };
}
