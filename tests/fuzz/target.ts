import type { Rng } from "../../src/tensor/random.js";
import type { Tree } from "./tree.js";

/** A parser under test. */
export interface FuzzTarget {
  readonly name: string;
  /** The modules whose refusals are this parser's, relative to src/ and without extension. */
  readonly sources: readonly string[];
  /** Writes valid input with the project's own writers: each folder in `folder` is one sample. */
  writeSamples(folder: string): Promise<void>;
  /**
   * Reads all that the folder holds, and checks what was accepted: an error of no class of the project's own is a finding.
   */
  run(folder: string): Promise<void>;
  /** Makes a changed folder pass checks that a forger would pass too, such as checksums. */
  forge?(rng: Rng, tree: Tree): void;
}

/** For what a parser let pass although it must not. */
export function expectThat(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(`accepted, but ${otherwise}`);
}
