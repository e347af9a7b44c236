import { exists, isDirectory, joinPath, readText, sha256, writeFileAtomic } from "#platform";
import { DataError } from "../base/errors.js";
import { checkpointPath } from "./open-file.js";

/** The file that the hub shows with a model: its card. */
export const CARD = "README.md";

const SIGNATURE = /<!-- Written by highrank; a card that was edited stays as it is\. sha256:([0-9a-f]{64}) -->\n$/;

/** A card with a last line, which no reader sees, that tells it from one that somebody wrote or changed. */
export function signedCard(text: string): string {
  return `${text}<!-- Written by highrank; a card that was edited stays as it is. sha256:${hashOf(text)} -->\n`;
}

/** True for a card that was written by `signedCard` and not changed since. */
export function isOwnCard(card: string): boolean {
  const signature = SIGNATURE.exec(card);
  return signature !== null && signature[1] === hashOf(card.slice(0, signature.index));
}

/** Changes the text of a card that highrank wrote; any other stays as it is. */
export function changedCard(card: string, change: (text: string) => string): string {
  return isOwnCard(card) ? signedCard(change(card.replace(SIGNATURE, ""))) : card;
}

/** The card in a folder; null without one, and for what is no text. */
export async function readCard(folder: string): Promise<string | null> {
  const path = await checkpointPath(folder, CARD);
  if (!(await exists(path)) || (await isDirectory(path))) return null;
  try {
    return await readText(path);
  } catch (error) {
    if (error instanceof DataError) return null;
    throw error;
  }
}

/** Writes a signed card into a folder, unless one is there that highrank did not write. @throws CheckpointError. */
export async function writeCard(folder: string, card: string): Promise<void> {
  if (await exists(joinPath(folder, CARD))) {
    const present = await readCard(folder);
    if (present === null || !isOwnCard(present)) return;
  }
  await writeFileAtomic(joinPath(folder, CARD), card);
}

function hashOf(text: string): string {
  return sha256(new TextEncoder().encode(text));
}
