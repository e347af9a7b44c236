import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { forCommandLine } from "../base/naming.js";
import { holding } from "./weight-holding.js";

function decided(options: object, device: "cpu" | "webgpu" = "cpu"): { widened: boolean; notices: string[] } {
  const notices: string[] = [];
  const onNotice = (text: string) => void notices.push(forCommandLine(text));
  const { widens } = holding(options, { device, onNotice }, () => 3 * 2 ** 30);
  return { widened: widens(2 ** 30), notices };
}

test("weights are widened where that takes at most half of the memory at hand, and a notice says the choice", () => {
  expect(decided({})).toEqual({
    widened: true,
    notices: ["Weights held in float32 (1.00 GiB), which is fastest; --keep-quantized saves memory."],
  });
  const notices: string[] = [];
  const onNotice = (text: string) => void notices.push(forCommandLine(text));
  const { widens } = holding({}, { device: "cpu", onNotice }, () => 2 ** 30);
  expect(widens(2 ** 30)).toBe(false);
  expect(notices).toEqual([
    "Weights held as they are stored: in float32 they take 1.00 GiB, and 512 MiB are at hand; " +
      "--float32 widens them all the same.",
  ]);
});

test("who says how weights are held has it so, and is told nothing", () => {
  expect(decided({ keepQuantized: true })).toEqual({ widened: false, notices: [] });
  expect(decided({ float32: true }, "webgpu")).toEqual({ widened: true, notices: [] });
  expect(decided({}, "webgpu")).toEqual({ widened: false, notices: [] });
  expect(() => holding({ float32: true, keepQuantized: true }, { device: "cpu" })).toThrow(ConfigError);
});
