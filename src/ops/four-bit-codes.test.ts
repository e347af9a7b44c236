import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { FOUR_BIT_CODES } from "./four-bit-codes.js";

test("the NF4 codes are those of bitsandbytes, bit for bit", () => {
  const digest = createHash("sha256").update(new Uint8Array(FOUR_BIT_CODES.nf4.buffer)).digest("hex");
  expect(digest).toBe("8501941daa1b8a90ad1bbfeb632e5101b5dddbc4bb52d6e55abcfd777e60c06a");
});

test("the FP4 magnitudes are those of bitsandbytes, bit for bit, and the top bit is the sign", () => {
  const bits = new Uint32Array(FOUR_BIT_CODES.fp4.buffer);
  const magnitudes = ["00000000", "3baaaaab", "3f2aaaab", "3f800000", "3eaaaaab", "3f000000", "3e2aaaab", "3e800000"];
  expect(Array.from(bits.subarray(0, 8), (word) => word.toString(16).padStart(8, "0"))).toEqual(magnitudes);
  for (let code = 0; code < 8; code++) expect(bits[code + 8]! ^ bits[code]!).toBe(0x80000000 | 0);
});
