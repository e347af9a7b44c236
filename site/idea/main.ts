import { showCell } from "./cells/cell.ts";
import { showCycles } from "./figures/cycles-figure.ts";
import { showGrid } from "./figures/grid-figure.ts";

showCycles(document.querySelector<HTMLElement>("#cycles")!);
showGrid(document.querySelector<HTMLElement>("#grid")!);
// What scrolls sideways must be reached by keyboard, too.
for (const region of document.querySelectorAll<HTMLElement>(".scroll")) region.tabIndex = 0;
for (const cell of document.querySelectorAll<HTMLElement>(".cell")) showCell(cell);
