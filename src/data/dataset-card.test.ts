import { expect, test } from "vitest";
import { matchesPattern, readDatasetCard } from "./dataset-card.js";

function matches(pattern: string, path: string): boolean {
  const files = readDatasetCard(`---\nconfigs:\n- data_files: ${JSON.stringify(pattern)}\n---\n`);
  return files!.splits!.get("train")!.some((each) => matchesPattern(each, path));
}

test("a pattern's characters are whole, however many code units they take", () => {
  expect(matches("🦉/*.jsonl", "🦉/a.jsonl")).toBe(true);
  expect(matches("🦉/*.jsonl", "🦊/a.jsonl")).toBe(false);
  expect(matches("?.jsonl", "🦉.jsonl")).toBe(true);
  expect(matches("[🦉x].jsonl", "🦉.jsonl")).toBe(true);
  expect(matches("[🦉x].jsonl", "🦊.jsonl")).toBe(false);
  expect(matches("a[.jsonl", "a[.jsonl")).toBe(true);
});
