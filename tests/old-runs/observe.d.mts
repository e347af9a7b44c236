/** What the commands of a version make of a run folder: JSON. */
export type Observation = Readonly<
  Record<"inspect" | "doctor" | "evaluation" | "text" | "exported" | "resumed", unknown>
>;

export interface RunPlace {
  /** The run folder. */
  readonly name: string;
  /** What it lies in, beside its data. */
  readonly folder: string;
}

/**
 * Inspects, checks, evaluates, exports and resumes a run that was stopped.
 * @param main the built command line of the version.
 * @param continuing flags with which `generate` continues a text, where a chat is what it would write.
 */
export function observe(main: string, run: RunPlace, continuing?: readonly string[]): Promise<Observation>;
