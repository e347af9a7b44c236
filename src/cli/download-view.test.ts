import { expect, test } from "vitest";
import { DownloadView, downloadLine } from "./download-view.js";
import { Outlet } from "./outlet.js";
import { styleFor } from "./terminal.js";

const MIB = 2 ** 20;
const plain = styleFor({ write: () => {} }, {});

function viewOf(isTTY: boolean): { view: DownloadView; output: () => string; at: (milliseconds: number) => void } {
  let [written, now] = ["", 0];
  const terminal = {
    isTTY,
    columns: 80,
    write: (text: string) => {
      written += text;
    },
  };
  const view = new DownloadView(new Outlet(terminal), { env: { NO_COLOR: "1" }, now: () => now });
  const at = (milliseconds: number): void => {
    now = milliseconds;
  };
  return { view, output: () => written, at };
}

const progress = (mib: number) => ({
  model: "org/name",
  file: "model.safetensors",
  done: mib * MIB,
  total: 500 * MIB,
});

test("on a terminal one line is drawn over and replaced by what has come", () => {
  const { view, output, at } = viewOf(true);
  view.onDownload(progress(0));
  at(1000);
  view.onDownload(progress(100));
  at(5000);
  view.onDownload(progress(500));
  expect(output().split("\r\u001b[K")).toEqual([
    "",
    "org/name  0%  0 B of 500 MiB  model.safetensors",
    "org/name  20%  100 MiB of 500 MiB  100 MiB/s  4s left  model.safetensors",
    "org/name  500 MiB downloaded in 5s\n",
  ]);
});

test("elsewhere there are plain lines, one in ten seconds", () => {
  const { view, output, at } = viewOf(false);
  for (let second = 0; second < 25; second++) {
    at(1000 * second);
    view.onDownload(progress(20 * second));
  }
  at(25_000);
  view.onDownload(progress(500));
  expect(output()).toBe(
    [
      "org/name  0%  0 B of 500 MiB  model.safetensors",
      "org/name  40%  200 MiB of 500 MiB  20.0 MiB/s  15s left  model.safetensors",
      "org/name  80%  400 MiB of 500 MiB  20.0 MiB/s  5s left  model.safetensors",
      "org/name  500 MiB downloaded in 25s",
      "",
    ].join("\n"),
  );
});

test("what was there before counts as done and not for the speed", () => {
  const { view, output, at } = viewOf(true);
  view.onDownload(progress(400));
  at(10_000);
  view.onDownload(progress(410));
  expect(output()).toContain("82%  410 MiB of 500 MiB  1.00 MiB/s  1m 30s left");
});

test("other text follows on a line of its own", () => {
  const { view, output } = viewOf(true);
  view.onDownload(progress(1));
  view.onNotice("trying again");
  view.onDownload(progress(2));
  view.clear();
  view.clear();
  const lines = output().split("\r\u001b[K");
  expect(lines).toEqual([
    "",
    expect.stringMatching(/^org.*\w$/),
    "trying again\n",
    expect.stringMatching(/^org.*\w$/),
    "",
  ]);
});

test("the line fits its columns, and a file cannot drive the terminal", () => {
  const { model, file, done, total } = progress(1);
  for (let columns = 8; columns < 90; columns++) {
    expect(downloadLine({ model, file, done, total }, MIB, columns, plain).length).toBeLessThanOrEqual(columns);
  }
  expect(downloadLine({ model, file: "a\u001b[2Jb", done, total }, 0, 80, plain)).toContain("a·[2Jb");
});

test("large data show what is done with them, and how long it takes", () => {
  const { view, output, at } = viewOf(true);
  view.onPreparing({ stage: "reading", share: 0.25 });
  at(3000);
  view.onPreparing({ stage: "encoding", share: 0.1 });
  at(5000);
  view.onPreparing({ stage: "encoding", share: 0.3 });
  view.onPreparing({ stage: "encoding", share: 1 });
  expect(output().split("\r\u001b[K")).toEqual([
    "",
    "reading the data  25%",
    "encoding the text  10%",
    "encoding the text  30%  5s left",
    "",
  ]);
});
