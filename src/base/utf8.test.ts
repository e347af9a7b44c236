import { expect, test } from "vitest";
import { isWellFormed, lineOfBadUtf8 } from "./utf8.js";

const utf8 = (...parts: (string | number)[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from([part]))));

test.each([
  [utf8("a\nä\n", 0xff, "b\nc"), 3],
  [utf8(0xe4, "\na"), 1],
  // The end and the beginning of characters that parts have cut are no faults.
  [utf8(0xa4, "a\nb", 0xc3, "\n", 0xc3), 2],
  [utf8("a\n\n\n", 0x80), 4],
])("%j has its fault in line %i", (bytes, line) => {
  expect(lineOfBadUtf8(bytes)).toBe(line);
});

test("half of a surrogate pair is no text, and a whole one is", () => {
  for (const text of ["", "a\u{1f600}ä", "\\ud800", "\ufffd"]) expect(isWellFormed(text)).toBe(true);
  for (const text of ["\ud800", "a\udc00b", "\udc00\ud800", "\u{1f600}\ud83d"]) expect(isWellFormed(text)).toBe(false);
});
