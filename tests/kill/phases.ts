import type { CallEvent, Life, LifeEvent, RecordEvent } from "./life.js";

/** What a run can be busy with when it is killed, in the order of a run. */
export const PHASES = [
  "start",
  "base",
  "metrics",
  "step",
  "evaluation",
  "report",
  "switch to adapters",
  "delta append",
  "merge",
  "adapter folder",
  "checkpoint",
  "pointer last",
  "pointer best",
  "pruning",
  "finished model",
  "end",
  "resume",
] as const;
export type Phase = (typeof PHASES)[number];

/** What is computed before a record. */
const BEFORE_RECORD: Readonly<Record<string, Phase>> = {
  start: "start",
  step: "step",
  eval: "evaluation",
  quantize: "switch to adapters",
  merge: "merge",
  reset: "merge",
  end: "finished model",
};

/** Between two calls so close, in milliseconds, a run is still at what the first one was for. */
const CLOSE = 5;

/** Where in a run an event of its life belongs. */
export interface Place {
  readonly event: LifeEvent;
  readonly phase: Phase;
  /** What the run computes as long as it makes no calls. */
  readonly computes: Phase;
  /** Of the last record. */
  readonly step: number;
}

/** Follows a life; a whole one tells what comes after a record. */
export function placesOf({ verb, events }: Pick<Life, "verb" | "events">, whole: readonly LifeEvent[]): Place[] {
  const opening = verb === "train" ? "start" : "resume";
  const next = nextRecords(whole);
  let [phase, computes, step, afterStart]: [Phase, Phase, number, Phase] = [opening, opening, 0, opening];
  const calls = new Map<number, CallEvent & { phase: Phase }>();
  return events.map((event) => {
    if ("record" in event) {
      step = event.step;
      const then = BEFORE_RECORD[next.get(nameOf(event)) ?? "end"]!;
      if (event.record === "start") afterStart = then;
      else phase = computes = then;
    } else if ("made" in event) {
      const call = calls.get(event.made)!;
      phase = call.phase;
      if (call.stage === "opening" && call.name === "appendFile") computes = afterStart;
    } else {
      phase = event.stage === "opening" ? opening : phaseOfCall(event, { phase, computes, step });
      if (phase === "switch to adapters") computes = phase;
      calls.set(event.call, { ...event, phase });
    }
    return { event, phase, computes, step };
  });
}

/** What a life was busy with at its end. */
export function lastPhase(life: Life, whole: readonly LifeEvent[]): Phase {
  const last = placesOf(life, whole).at(-1);
  if (last === undefined) return life.verb === "train" ? "start" : "resume";
  return "call" in last.event || life.endedAt - last.event.at < CLOSE ? last.phase : last.computes;
}

export function nameOf({ record, step }: RecordEvent): string {
  return `${record} ${step}`;
}

/** The kind of the record after each record, by its name, and after the start from a checkpoint. */
function nextRecords(events: readonly LifeEvent[]): Map<string, string> {
  const records = events.filter((event): event is RecordEvent & LifeEvent => "record" in event);
  const next = new Map<string, string>();
  for (const [i, following] of records.slice(1).entries()) {
    const record = records[i]!;
    next.set(nameOf(record), following.record);
    if (record.step > 0) next.set(`start ${record.step}`, following.record);
  }
  return next;
}

const READS: readonly string[] = ["open", "read", "readFile", "readdir", "close"];
const WRITES: readonly string[] = ["create", "write", "sync", "close", "rename"];
/** Looks, which come before anything. */
const LOOKS: readonly string[] = ["access", "realpath", "stat"];

/** @param before where the run was. */
function phaseOfCall({ name, path }: CallEvent, before: Pick<Place, "phase" | "computes" | "step">): Phase {
  const [top = "", inner] = path.split("/");
  const entry = /^\.(.+)\.[^.]+\.(?:partial|previous)$/.exec(top)?.[1] ?? top;
  const reads = READS.includes(name);
  switch (entry) {
    case "metrics.jsonl":
      return "metrics";
    case "report.html":
      return "report";
    case "base":
      return before.step === 0 ? "base" : "switch to adapters";
    case "model":
      return "finished model";
    case "adapter":
      return "adapter folder";
    case "lock":
      return "end";
    case "last":
    case "best":
      return WRITES.includes(name) ? `pointer ${entry}` : "pruning";
    case "deltas":
      // The adapter folder is joined from all of them.
      if (before.phase === "delta append" || !reads) return "delta append";
      return inner === undefined && before.computes === "merge" ? "delta append" : "adapter folder";
    case "":
      return name === "readdir" ? "pruning" : before.phase;
  }
  if (LOOKS.includes(name)) return before.phase;
  const removes = top.endsWith(".partial") && inner === undefined && ["rename", "rm"].includes(name);
  return removes || (top === entry && reads) ? "pruning" : "checkpoint";
}
