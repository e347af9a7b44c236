import type { Files, RunOptions } from "../run-command.js";

/** A call that must fail with one clear message and leave nothing behind. */
export interface BadInput {
  readonly name: string;
  readonly args: readonly string[];
  /** Further calls that must fail with the same message. */
  readonly alike?: readonly (readonly string[])[];
  /** Variables that the calls have. */
  readonly env?: Readonly<Record<string, string>>;
  /** Files in the folder that the command runs in. */
  readonly files?: Files;
  /** Writes more into that folder. */
  readonly prepare?: (cwd: string) => Promise<void>;
  /** Writes beyond this size of one file fail, as on a full disk. */
  readonly limits?: Pick<RunOptions, "maxFileKilobytes">;
  /** For a run that has been planned when it fails: what it prints before. */
  readonly prints?: string;
  /** A run fails that has written files already; those are whole. */
  readonly leavesFiles?: true;
  /** Texts that the message must contain. */
  readonly says: readonly string[];
  readonly code: 1 | 2 | 3 | 4;
}

/** Bad inputs of one subject: a section of docs/errors.md. */
export interface Area {
  readonly title: string;
  readonly rows: readonly BadInput[];
}

/** A run that would take seconds, with the flags that matter first. */
export function train(...more: string[]): string[] {
  const flags = "--data a.txt --model tiny --vocab-size 280 --sequence-length 16 --batch-size 2 --rank 4 --max-steps 4";
  // Of which there is none.
  const unused = more.includes("full") ? ["--rank"] : [];
  const kept = flags.split(" ").filter((_, i, all) => ![...more, ...unused].includes(all[i - (i % 2)]!));
  return ["train", ...more, ...kept];
}
