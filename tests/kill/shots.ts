import type { Rng } from "../../src/tensor/random.js";
import type { CallEvent, Life, RecordEvent, Shot } from "./life.js";
import { type Phase, type Place, placesOf } from "./phases.js";

/** Draws where the next life of a run ends. */
export class Shots {
  readonly #whole: readonly Place[];
  /** Calls in the opening of a life, and how long it took, in milliseconds. */
  readonly #openings: Record<Life["verb"], { calls: number; time: number }>;

  /** @param whole a life from the beginning to the end. */
  constructor(whole: Life) {
    this.#whole = placesOf(whole, whole.events);
    this.#openings = { train: openingOf(whole), resume: openingOf(whole) };
  }

  /** Learns how long an opening is. */
  learn(life: Life): void {
    if (life.events.some((event) => "call" in event && event.stage === "running")) {
      this.#openings[life.verb] = openingOf(life);
    }
  }

  /**
   * A shot in the opening, or in the phase that was tried the least of those to come.
   * @param from the step of the checkpoint that the life goes on from; null for none.
   * @param tried is counted up.
   */
  draw(rng: Rng, verb: Life["verb"], from: number | null, tried: Map<Phase, number>): Shot {
    if (rng.below(4) === 0) return this.#shotInOpening(rng, verb);
    const shots = this.#candidates(from);
    const least = Math.min(...[...shots.keys()].map((phase) => tried.get(phase) ?? 0));
    const phase = pick(
      rng,
      [...shots.keys()].filter((each) => (tried.get(each) ?? 0) === least),
    );
    tried.set(phase, least + 1);
    // Calls of the same kind on the same file count as one, else the many reads and writes of large files hide all others.
    const ways = pick(rng, [...shots.get(phase)!.values()]);
    return pick(rng, ways)(rng);
  }

  #shotInOpening(rng: Rng, verb: Life["verb"]): Shot {
    const { calls, time } = this.#openings[verb];
    if (rng.below(4) === 0) return { after: null, delay: rng.uniform() * time };
    return { stage: "opening", nth: 1 + rng.below(calls), when: pick(rng, WHEN) };
  }

  /** Shots at what a life does that goes on from there: by phase, by call. */
  #candidates(from: number | null): Map<Phase, Map<string, ((rng: Rng) => Shot)[]>> {
    const candidates = new Map<Phase, Map<string, ((rng: Rng) => Shot)[]>>();
    const add = (phase: Phase, key: string, shot: (rng: Rng) => Shot): void => {
      const ways = candidates.get(phase) ?? new Map<string, ((rng: Rng) => Shot)[]>();
      candidates.set(phase, ways.set(key, [...(ways.get(key) ?? []), shot]));
    };
    const counts = new Map<string, number>();
    const places = this.#whole.slice(startAfter(this.#whole, from));
    for (const [i, { event, phase, computes }] of places.entries()) {
      if ("call" in event) {
        const { stage, name, path } = event;
        if (stage === "opening") continue;
        const key = `${name} ${path}`;
        const nth = (counts.get(key) ?? 0) + 1;
        counts.set(key, nth);
        add(phase, kindOf(event), (rng) => ({ stage, name, path, nth, when: pick(rng, WHEN) }));
      } else if ("record" in event) {
        const following = places.slice(i + 1).find((place) => "record" in place.event);
        if (following === undefined) continue;
        const { record, step, at } = event as RecordEvent & typeof event;
        const time = following.event.at - at;
        add(computes, "computing", (rng) => ({ after: { record, step }, delay: rng.uniform() * time }));
      }
    }
    return candidates;
  }
}

/** Half of what cannot be halved is all of it. */
const WHEN = ["before", "half", "after"] as const;

/** Which calls are alike: those on the same file, whatever number it has. */
function kindOf({ name, path }: CallEvent): string {
  return `${name} ${path.replaceAll(/\d+/g, "0")}`;
}

function openingOf({ events, startedAt }: Life): { calls: number; time: number } {
  const last = events.findLast((event) => "call" in event && event.stage === "opening") as CallEvent & { at: number };
  return { calls: last.call, time: last.at - startedAt };
}

/** The first place that a life passes which goes on from the checkpoint. */
function startAfter(places: readonly Place[], from: number | null): number {
  if (from === null) return 0;
  const saved = places.findIndex(
    ({ event, step }) => step === from && "call" in event && event.name === "rename" && event.path === "last",
  );
  return places.findIndex(({ phase }, i) => i > saved && !["pointer last", "pointer best", "pruning"].includes(phase));
}

function pick<T>(rng: Rng, items: readonly T[]): T {
  return items[rng.below(items.length)]!;
}
