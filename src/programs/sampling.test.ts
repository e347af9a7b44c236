import { expect, test } from "vitest";
import { Rng } from "../tensor/random.js";
import { type SamplingOptions, sampleToken } from "./sampling.js";

const LOGITS = Float32Array.from([0.1, 0.4, 0.3, 0.2], Math.log);

/** How often each token is drawn, as shares. */
function shares(options: Partial<SamplingOptions>): number[] {
  const counts = [0, 0, 0, 0];
  const rng = new Rng(1, "draws");
  const draws = 20_000;
  for (let i = 0; i < draws; i++) {
    counts[sampleToken(LOGITS, { temperature: 1, topK: null, topP: 1, ...options }, rng)]!++;
  }
  return counts.map((count) => count / draws);
}

function expectShares(options: Partial<SamplingOptions>, expected: readonly number[]): void {
  const found = shares(options);
  for (const [token, share] of expected.entries()) {
    if (share === 0) expect(found[token], `token ${token}`).toBe(0);
    else expect(Math.abs(found[token]! - share), `token ${token}`).toBeLessThan(0.015);
  }
}

test("temperature 0 takes the likeliest token, of equals the first", () => {
  const options = { temperature: 0, topK: null, topP: 1 };
  expect(sampleToken(LOGITS, options, new Rng(0))).toBe(1);
  expect(sampleToken(Float32Array.of(1, 3, 3), options, new Rng(0))).toBe(1);
});

test("temperature 1 draws by the softmax of the logits", () => expectShares({}, [0.1, 0.4, 0.3, 0.2]));

test("temperature 1/2 squares the probabilities", () =>
  expectShares({ temperature: 0.5 }, [1 / 30, 16 / 30, 9 / 30, 4 / 30]));

test("top-k keeps the k likeliest", () => expectShares({ topK: 2 }, [0, 4 / 7, 3 / 7, 0]));

test("top-p keeps the shortest list that reaches p", () => {
  expectShares({ topP: 0.65 }, [0, 4 / 7, 3 / 7, 0]);
  expectShares({ topP: 0.8 }, [0, 4 / 9, 3 / 9, 2 / 9]);
  expectShares({ topP: 0.01 }, [0, 1, 0, 0]);
});

test("top-p counts shares of what top-k left", () => expectShares({ topK: 2, topP: 0.55 }, [0, 1, 0, 0]));

test("of a large vocabulary, the tokens are those that sorting all of it gives", () => {
  const rng = new Rng(3, "logits");
  for (const spread of [0, 0.01, 3, 200]) {
    const logits = Float32Array.from({ length: 5000 }, () => Math.fround(spread * rng.normal()));
    logits.copyWithin(2500, 0, 500); // equal ones
    const sorted = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
    const weights = sorted.map((token) => Math.exp(logits[token]! - logits[sorted[0]!]!));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const topP of [0.001, 0.3, 0.9, 0.9999]) {
      let [count, held] = [0, 0];
      while (held < topP * total) held += weights[count++]!;
      const kept = new Set(sorted.slice(0, count));
      const draws = Array.from({ length: 50 }, (_, i) =>
        sampleToken(logits, { temperature: 1, topK: null, topP }, new Rng(i, "draws")),
      );
      expect(draws.filter((token) => !kept.has(token))).toEqual([]);
    }
    for (const topK of [1, 7, 64, 4999, 5000, 6000]) {
      const kept = new Set(sorted.slice(0, topK));
      for (let i = 0; i < 50; i++) {
        // So hot that all are nearly as likely.
        const token = sampleToken(logits, { temperature: 1e6, topK, topP: 1 }, new Rng(i, "draws"));
        expect(kept.has(token)).toBe(true);
      }
    }
  }
});
