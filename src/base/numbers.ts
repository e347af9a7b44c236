const COUNT_UNITS = ["", "K", "M", "B", "T"];
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A count in at most five characters: `999`, `12.3K`, `1.34B`. */
export function formatCount(count: number): string {
  return scale(count, 1000, COUNT_UNITS, "");
}

/** Bytes with a binary unit: `512 B`, `12.3 MiB`. */
export function formatBytes(bytes: number): string {
  return scale(bytes, 1024, BYTE_UNITS, " ");
}

/** Seconds as `48s`, `3m 05s` or `2h 07m`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const pad = (value: number): string => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${pad(whole % 60)}s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)}h ${pad(minutes % 60)}m`;
}

/** A loss with four decimals; a dash where it was not measured. */
export function formatLoss(loss: number): string {
  return Number.isNaN(loss) ? "–" : loss.toFixed(4);
}

/** A learning rate such as `9.50e-4`; zero is `0`. */
export function formatLearningRate(rate: number): string {
  return rate === 0 ? "0" : rate.toExponential(2);
}

/** A learning rate as people write it: `1e-3`, `0.6`, `2.5e-4`. */
export function formatRate(rate: number): string {
  return rate >= 0.1 ? String(Number(rate.toPrecision(3))) : Number(rate.toPrecision(3)).toExponential();
}

/** A share from 0 to 1 in percent. Less than all is never 100 %, more than nothing never 0 %. */
export function formatShare(share: number): string {
  const percent = share * 100;
  const text = percent.toPrecision(3);
  if (percent < 100 && Number(text) >= 100) return ">99.9%";
  return `${Number(text)}%`;
}

/** Four significant digits, in plain notation from 0.001 to a million: `0.8312`, `12.40`, `1.200e-7`. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return size >= 0.001 && size < 10_000
    ? value.toPrecision(4)
    : size >= 10_000 && size < 1e6
      ? value.toFixed(0)
      : value.toExponential(3);
}

/** The change of a loss with its sign: `+0.0147`, `-4.2500`. */
export function formatChange(change: number): string {
  return `${change < 0 ? "" : "+"}${change.toFixed(4)}`;
}

/**
 * Ranks of layers, total and mean: `835 (29.8 a layer)`, or `230 in 7 layers (32.9 a layer)` if those of the other
 * layers are unknown; null if all are.
 */
export function formatRanks(ranks: readonly (number | null)[]): string | null {
  const known = ranks.filter((rank) => rank !== null);
  if (known.length === 0) return null;
  const sum = known.reduce((total, rank) => total + rank, 0);
  const where = known.length === ranks.length ? "" : ` in ${known.length} ${known.length === 1 ? "layer" : "layers"}`;
  return `${sum}${where} (${(sum / known.length).toFixed(1)} a layer)`;
}

function scale(value: number, base: number, units: readonly string[], gap: string): string {
  let size = value;
  let unit = 0;
  // 999.95 and above would print as four digits, so it moves up a unit.
  while (unit < units.length - 1 && (unit === 0 ? size >= base : size >= base - 0.05)) {
    size /= base;
    unit++;
  }
  const text = unit === 0 ? String(Math.round(size)) : size.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0);
  return `${text}${gap}${units[unit]}`;
}

/** The sum of the values; 0 for none. */
export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** The largest of any number of values and `atLeast`; −∞ for none. Arguments of `Math.max` must fit the stack. */
export function largest(values: Iterable<number>, atLeast: number = Number.NEGATIVE_INFINITY): number {
  let most = atLeast;
  for (const value of values) most = Math.max(most, value);
  return most;
}

/** The smallest of any number of values and `atMost`; ∞ for none. */
export function smallest(values: Iterable<number>, atMost: number = Number.POSITIVE_INFINITY): number {
  let least = atMost;
  for (const value of values) least = Math.min(least, value);
  return least;
}
