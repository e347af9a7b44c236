/** What the page computes beside itself: what figures show, and cells that run. */
import type { CellOutput } from "./cells/run-code.ts";
import { answerFigure, type FigureJob } from "./figures/answer-figure.ts";

/** A request to the worker. */
export type Work = FigureJob | { readonly code: string };

export type CellMessage = CellOutput | { readonly kind: "done" } | { readonly kind: "error"; readonly text: string };

addEventListener("message", async ({ data }: MessageEvent<Work>) => {
  // The page hears of errors that are thrown outside of a promise.
  if ("figure" in data) await answerFigure(data).catch((error) => reportError(error));
  else await answerCell(data.code);
});

async function answerCell(code: string): Promise<void> {
  const say = (message: CellMessage) => postMessage(message);
  try {
    const { runCode } = await import("./cells/run-code.ts");
    await runCode(code, say);
    say({ kind: "done" });
  } catch (error) {
    say({ kind: "error", text: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
  }
}
