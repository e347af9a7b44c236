import { expect, test } from "vitest";
import { parseHubName, shownModel } from "./hub-name.js";

test("a name is an organisation and a name, with a revision after an @", () => {
  expect(parseHubName("HuggingFaceTB/SmolLM2-135M")).toEqual({ name: "HuggingFaceTB/SmolLM2-135M", revision: "main" });
  expect(parseHubName("org/name@v1.0")).toEqual({ name: "org/name", revision: "v1.0" });
  expect(parseHubName("org/a_b.c-d@refs/pr/1")).toEqual({ name: "org/a_b.c-d", revision: "refs/pr/1" });
});

test.each([
  ["one part", "gpt2"],
  ["three parts", "runs/1/model"],
  ["a path from here", "./runs"],
  ["a path from above", "../model"],
  ["a path from the root", "/model/x"],
  ["a home folder", "~/model"],
  ["no organisation", "/model"],
  ["no name", "org/"],
  ["a trailing slash", "org/name/"],
  ["two dashes, which separate names in the cache", "a/b--c"],
  ["two dots", "a/b..c"],
  ["a space", "org/my model"],
  ["more than 96 characters", `org/${"a".repeat(93)}`],
  ["no revision", "org/name@"],
  ["a revision that leads elsewhere", "org/name@../../x"],
  ["a revision from the root", "org/name@/x"],
  ["a revision that git forbids", "org/name@main.lock"],
  ["a query", "org/name?x=1"],
])("no name of the hub: %s", (_, text) => {
  expect(parseHubName(text)).toBeUndefined();
});

test("a commit is shown by its first digits", () => {
  expect(shownModel(`org/name@${"0123456789".repeat(4)}`)).toBe("org/name@012345678901");
  expect(shownModel("org/name@v1")).toBe("org/name@v1");
});
