/** Maps numbers from one range to another on a straight line. */
export function scale([low, high]: readonly [number, number], [from, to]: readonly [number, number]) {
  return (value: number): number => from + ((value - low) / (high - low || 1)) * (to - from);
}

/** Round numbers from 0 to at least `high`, about `count` of them. */
export function ticks(high: number, count: number): number[] {
  const rough = high / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * (1 - 1e-9))!;
  return Array.from({ length: Math.ceil(high / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}
