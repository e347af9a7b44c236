import { expect, test } from "vitest";
import { CheckpointError, InterruptedError } from "../base/errors.js";
import { waitForSpace } from "./disk-space.js";

const MIB = 2 ** 20;

/** Waits for 3 MiB, with a margin of one, on a disk that has these amounts free in turn. */
async function wait(free: readonly number[], stopRequested: () => boolean = () => false): Promise<string[]> {
  const notices: string[] = [];
  const left = [...free];
  const freeBytes = async (): Promise<number> => left.shift()!;
  const onNotice = (text: string): void => void notices.push(text);
  await waitForSpace("run", 3 * MIB, "checkpoint 8", { onNotice, stopRequested, freeBytes, pauseMs: 1 });
  expect(left).toEqual([]);
  return notices;
}

test("where there is room nothing is said", async () => {
  expect(await wait([4 * MIB])).toEqual([]);
});

test("a full disk is said once, and waited for until there is room", async () => {
  expect(await wait([0, MIB, 4 * MIB - 1, 4 * MIB])).toEqual([
    "Paused: checkpoint 8 needs 4.00 MiB on the disk of run, which has 0 B free. Training goes on as soon as there is room.",
  ]);
});

test("a run that is asked to stop while it waits says what is missing", async () => {
  let asked = 0;
  const waiting = wait([0, MIB], () => asked++ === 1);
  await expect(waiting).rejects.toThrow(InterruptedError);
  await expect(waiting).rejects.toThrow(
    /needs 4\.00 MiB .* 1\.00 MiB free; nothing was written.*make room, then resume/,
  );
});

test("the disk of a folder is asked", async () => {
  const options = { onNotice: () => {}, stopRequested: () => true };
  await waitForSpace(".", 1, "a byte", options);
  await expect(waitForSpace(".", 2 ** 60, "an exbibyte", options)).rejects.toThrow(CheckpointError);
});
