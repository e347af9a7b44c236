/** One line or row of points of a chart. `color` is the name of a CSS variable of the page, without its dashes. */
export interface ChartSeries {
  readonly label: string;
  readonly color: string;
  readonly look: "line" | "faint" | "points" | "dashed";
  readonly values: readonly (number | null)[];
  /** True for one that the legend leaves out, as the points that belong to a line. */
  readonly isUnlisted?: boolean;
  /** A shaded range around the values. */
  readonly band?: { readonly low: readonly (number | null)[]; readonly high: readonly (number | null)[] };
}

/** A chart as data; the page's script draws it. */
export interface Chart {
  readonly title: string;
  readonly note: string;
  readonly format: "loss" | "rate" | "count" | "number" | "share" | "change";
  /** What the horizontal axis counts; default `step`. Pointing at one chart points at all along the same. */
  readonly along?: "step" | "tokens" | "time" | "index";
  /** Places on the horizontal axis, rising. */
  readonly steps: readonly number[];
  readonly series: readonly ChartSeries[];
  /** Values rise by factors, and those that are not above zero are left out. */
  readonly logarithmic?: boolean;
  /** Places with a vertical line: dashed for a merge; with a label for the begin of a phase. */
  readonly marks: readonly { readonly step: number; readonly label: string }[];
  /** True if the value axis must begin at zero. */
  readonly fromZero: boolean;
}
