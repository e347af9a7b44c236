import { type PageWorker, startWorker } from "../start-worker.ts";
import type { CellMessage } from "../worker.ts";

let worker: PageWorker | undefined;
/** Cells wait for those that run. */
let queue: Promise<unknown> = Promise.resolve();

/** Lets a cell run, stop, and go back to its original code. */
export function showCell(cell: HTMLElement): void {
  const find = <T extends Element = HTMLElement>(selector: string): T => cell.querySelector<T>(selector)!;
  const [code, run, original] = [find(".code"), find<HTMLButtonElement>(".run"), find(".original")];
  const [printed, output, state] = [find(".printed"), find(".output"), find(".state")];
  const written = code.innerHTML;
  const name = run.ariaLabel!;
  let stop: (() => void) | undefined;

  code.addEventListener("input", () => {
    original.hidden = false;
  });
  original.addEventListener("click", () => {
    code.innerHTML = written;
    original.hidden = true;
    code.focus();
  });
  run.addEventListener("click", () => {
    if (stop !== undefined) return stop();
    setRunning(true);
    state.textContent = "waits";
    const turn = stop;
    queue = queue.then(() => (stop === turn ? runNow() : undefined)); // it may have been stopped by then
  });

  function setRunning(isRunning: boolean): void {
    stop = isRunning ? () => setRunning(false) : undefined;
    run.textContent = isRunning ? "Stop" : "Run";
    run.ariaLabel = isRunning ? name.replace("Run", "Stop") : name;
    if (!isRunning) state.textContent = "stopped";
  }

  /** Settles when the cell has ended in whatever way. */
  function runNow(): Promise<void> {
    const since = performance.now();
    printed.querySelector("img")?.remove();
    output.textContent = "";
    printed.hidden = true;
    cell.classList.remove("failed");
    state.textContent = worker === undefined ? "loads the library …" : "runs …";
    worker ??= startWorker();
    const runner = worker;
    let resolve = () => {};
    const ended = new Promise<void>((settle) => {
      resolve = settle;
    });
    const end = (words: string) => {
      setRunning(false);
      state.textContent = words;
      runner.onmessage = runner.onerror = null;
      resolve();
    };
    stop = () => {
      runner.terminate();
      worker = undefined;
      end("stopped");
    };
    runner.onerror = ({ message }) => {
      stop!();
      state.textContent = `cannot run here: ${message ?? "a file of the page did not load"}`;
    };
    runner.onmessage = ({ data }: MessageEvent<CellMessage>) => {
      if (data.kind === "done") {
        return end(
          `${printed.hidden ? "ran, and printed nothing" : "ran"} in ${((performance.now() - since) / 1000).toFixed(1)} s`,
        );
      }
      printed.hidden = false;
      if (data.kind === "picture") {
        printed.append(picture(data.svg));
        printed.tabIndex = 0; // a picture may be wider than the page
      } else output.append(`${data.text}\n`);
      if (data.kind !== "error") return;
      cell.classList.add("failed");
      end("failed");
    };
    runner.postMessage({ code: [...definitionsBefore(cell), textOf(code)].join("\n") });
    return ended;
  }
}

/** Code of the cells above that define functions, which later cells may use. */
function definitionsBefore(cell: HTMLElement): string[] {
  const all = [...document.querySelectorAll<HTMLElement>(".cell")];
  const above = all.slice(0, all.indexOf(cell)).filter(({ dataset }) => dataset.defines !== undefined);
  return above.map((each) => textOf(each.querySelector<HTMLElement>(".code")!));
}

function textOf(code: HTMLElement): string {
  // biome-ignore lint/performance/useDomNodeTextContent: browsers put <br> where Enter was pressed
  return code.innerText;
}

function picture(svg: string): HTMLImageElement {
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  image.alt = `Plot of the cell: ${/<text[^>]*>([^<]*)<\/text>(?=<\/svg>$)/.exec(svg)?.[1] ?? ""}`;
  return image;
}
