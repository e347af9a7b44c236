import { describe, expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { parseStudy } from "./study-config.js";

const SOUND = `
seeds: [2, 0]
settings: {model: tiny, rank: 8, learning_rate: 0.002, maxSteps: 80}
arms:
  full: {method: full}
  relora: {method: relora, lr: 0.004}
  lora: {method: lora}
`;

function faultsOf(text: string): string[] {
  try {
    parseStudy(text, "s.yaml", "s");
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message.split("\n");
  }
  return [];
}

test("arms keep their order, and what they have otherwise beats what they share", () => {
  const study = parseStudy(SOUND, "s.yaml", "s");
  expect(study).toMatchObject({ title: "s", notes: "", seeds: [2, 0], reference: { low: "lora", high: "full" } });
  expect(study.arms.map(({ name, settings: { method, rank, lr } }) => [name, method, rank, lr])).toEqual([
    ["full", "full", 8, 0.002],
    ["relora", "relora", 8, 0.004],
    ["lora", "lora", 8, 0.002],
  ]);
});

test("JSON does as well, and an arm without a line of its own is what is shared", () => {
  const text = JSON.stringify({
    title: " T ",
    seeds: [1],
    arms: { a: null, b: {} },
    reference: { low: "a", high: "b" },
  });
  const { title, arms } = parseStudy(text, "s.json", "s");
  expect(title).toBe("T");
  expect(arms[0]!.settings).toEqual(arms[1]!.settings);
});

describe("faults", () => {
  test("all at once, with the arm in which they are", () => {
    const text = `
seed: [1]
settings: {maxSteps: 8, warmStartSteps: 8, rank: 0}
seeds: [1, 1]
arms:
  full: {method: full}
  lora: {method: lora, lr: fast}
  relora: {method: relora, learning_rates: 1}
  7-cycles: {}
reference: {low: lora, high: fulll, middle: 3}
`;
    expect(faultsOf(text)).toEqual([
      's.yaml: unknown key "seed"; did you mean "seeds"?',
      "s.yaml: seeds: must be different from each other, got [1,1]",
      's.yaml: arms.7-cycles: must begin with a letter, followed by letters, digits, ".", "_" and "-", at most 64',
      "s.yaml: settings: rank: must be an integer of at least 1, got 0",
      's.yaml: arms.lora: lr: must be a number above 0, got "fast"',
      expect.stringContaining("s.yaml: arms lora, relora, 7-cycles: warmStartSteps: must be below the 8 steps"),
      's.yaml: arms.relora: unknown setting "learning_rates"; did you mean "lr"?',
      's.yaml: reference: unknown key "middle"; there are low and high',
      's.yaml: reference: high must be one of the arms full, lora, relora, 7-cycles, got "fulll"',
    ]);
  });

  test.each([
    [
      "a setting that the study gives itself",
      SOUND.replace("rank: 8", "rank: 8, seed: 3"),
      "s.yaml: settings: seed: the study sets it",
    ],
    [
      "the same in an arm, by another name",
      SOUND.replace("lr: 0.004", "output_dir: x"),
      "s.yaml: arms.relora: output_dir: the study sets it",
    ],
    [
      "a setting beside the others",
      `rank: 8\n${SOUND}`,
      'unknown key "rank"; settings of all runs stand under "settings"',
    ],
    ["no arms", "seeds: [1]", "s.yaml: arms: must name at least one arm"],
    [
      "arms in a list",
      "seeds: [1]\narms: [full]",
      's.yaml: arms: must hold entries, one "name: value" a line, got ["full"]',
    ],
    ["seeds that are none", SOUND.replace("[2, 0]", "[-1]"), "seeds: must be a list of integers from 0 to 4294967295"],
    ["a title that is no text", `title: 3\n${SOUND}`, "s.yaml: title: must be text, got 3"],
    ["one arm as both references", `${SOUND}reference: {high: lora}`, "low and high must be different arms"],
  ])("%s", (_, text, message) => {
    expect(faultsOf(text).join("\n")).toContain(message);
  });

  test("arms whose held-out losses are not of the same task", () => {
    expect(faultsOf(SOUND.replace("lr: 0.004", "sequenceLength: 64"))).toEqual([
      expect.stringMatching(/^s\.yaml: arm relora: sequenceLength is 64, but 256 in arm full; held-out losses/),
    ]);
  });
});

describe("the reference", () => {
  const referenceOf = (text: string) => parseStudy(text, "s.yaml", "s").reference;
  const OWN = "settings: {model: tiny}\narms: {small: {rank: 4}, large: {rank: 16}}\n";

  test("is the first arm where no name is usual, without a gap, and one seed is enough", () => {
    expect(referenceOf(OWN)).toEqual({ low: "small", high: null });
    expect(parseStudy(OWN, "s.yaml", "s").seeds).toEqual([0]);
  });

  test("is the arm that is named", () => {
    expect(referenceOf(`${OWN}reference: large`)).toEqual({ low: "large", high: null });
    expect(referenceOf(`${OWN}reference: {high: small}`)).toEqual({ low: "large", high: "small" });
    expect(referenceOf(SOUND)).toEqual({ low: "lora", high: "full" });
  });
});
