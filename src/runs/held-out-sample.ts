import { z } from "zod";
import { type Fields, listOf, objectOf, TEXT } from "../base/fields.js";

/** A turn of a chat as it is shown: what is no text, such as a call of a tool, is JSON. */
const SHOWN_MESSAGE = { role: TEXT, content: TEXT };

export interface ShownMessage extends Fields<typeof SHOWN_MESSAGE> {}

/** A prompt of the held-out data and what the model writes after it. */
export interface HeldOutSample {
  /** The question of a record or the beginning of a text; absent for a chat. */
  readonly prompt?: string | undefined;
  /** The chat up to the answer. */
  readonly messages?: readonly ShownMessage[] | undefined;
  /** What the model wrote. */
  readonly text: string;
  /** What the data have there, or the beginning of it. */
  readonly reference?: string | undefined;
}

const text: z.ZodType<string | undefined> = TEXT.optional();
const messages: z.ZodType<readonly ShownMessage[] | undefined> = z.array(objectOf(SHOWN_MESSAGE)).optional();

export const HELD_OUT_SAMPLES: z.ZodType<readonly HeldOutSample[] | undefined> = listOf({
  prompt: text,
  messages,
  text: TEXT,
  reference: text,
}).optional();
