import { expect, test } from "vitest";
import { resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { createQuantizer } from "../quant/quantizer.js";
import { type IdleFacts, idleNotices } from "./idle-settings.js";

const TEXTS: IdleFacts = { quantizer: null, summary: { kind: "text", unit: "paragraph" } };
const CHATS: IdleFacts = { quantizer: null, summary: { kind: "messages", unit: "sample" } };
const ON_NF4: IdleFacts = { ...TEXTS, quantizer: createQuantizer("nf4") };

test.each<[given: Partial<Settings>, idle: IdleFacts, used: IdleFacts, notice: string]>([
  [
    { mergePolicy: "residual" },
    TEXTS,
    ON_NF4,
    "mergePolicy residual is for quantized weights, and these are in float32",
  ],
  [{ document: "paragraph" }, CHATS, TEXTS, "document paragraph is for files of text"],
  [{ chatDate: "2026-03-31" }, TEXTS, CHATS, "chatDate is for chats"],
  [{ trainOnInputs: true }, TEXTS, CHATS, "trainOnInputs is for prompts and chats"],
])("%j is said where it changes nothing", (given, idle, used, notice) => {
  const settings = resolveSettings({ flags: { model: "m", data: "d", method: "lora", ...given } });
  expect(idleNotices(settings, idle)).toEqual([`${notice}; it changes nothing here.`]);
  expect(idleNotices(settings, used)).toEqual([]);
});
