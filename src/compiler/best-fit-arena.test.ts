import { expect, test } from "vitest";
import { BestFitArena } from "./best-fit-arena.js";

const MIB = 2 ** 20;

test("freed memory is given out again, adjacent pieces joined", () => {
  const arena = new BestFitArena();
  arena.allocate("a", MIB / 4);
  arena.allocate("b", MIB / 4);
  expect(arena.touchedBytes).toBe(MIB / 2);
  arena.release("a");
  arena.release("b");
  arena.allocate("c", MIB / 2);
  expect(arena.touchedBytes).toBe(MIB / 2);
});

test("a gap that is too small stays free, and the memory grows", () => {
  const arena = new BestFitArena();
  arena.allocate("a", MIB / 4);
  arena.allocate("b", MIB / 4);
  arena.release("a");
  arena.allocate("c", MIB);
  expect(arena.touchedBytes).toBe(1.5 * MIB);
  // The smallest gap that suffices is the one that was given out before.
  arena.allocate("d", MIB / 4);
  expect(arena.touchedBytes).toBe(1.5 * MIB);
});
