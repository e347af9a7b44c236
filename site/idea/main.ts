import { showCell } from "./cells/cell.ts";
import { showCycles } from "./figures/cycles-figure.ts";
import { showGrid } from "./figures/grid-figure.ts";

showCycles(document.querySelector<HTMLElement>("#cycles")!);
showGrid(document.querySelector<HTMLElement>("#grid")!);
for (const cell of document.querySelectorAll<HTMLElement>(".cell")) showCell(cell);
