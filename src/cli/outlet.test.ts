import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Outlet } from "./outlet.js";
import { ERASE_LINE, styleFor, type Terminal } from "./terminal.js";

/** A stream that keeps what it is given, until it fails. */
function streamOf(isTTY = true) {
  let text = "";
  let fail = (_: Error): void => {};
  const terminal: Terminal = {
    isTTY,
    write: (piece) => {
      text += piece;
    },
    on: (_, listener) => {
      fail = listener;
    },
  };
  return { terminal, text: () => text, fail: (code: string) => fail(Object.assign(new Error(code), { code })) };
}

test("what would drive a terminal comes out as text, and our own colours as they are", () => {
  const { terminal, text } = streamOf();
  const outlet = new Outlet(terminal);
  const { green } = styleFor(outlet, {});
  outlet.write(`${ERASE_LINE}a\u001b[2J\u202eb\u0007\u009b1mc\u200f\u2066d\u007f\te\r\nf ${green("g\u001b[0mh")}`);
  expect(text()).toBe(
    "\r\u001b[Ka\\u001b[2J\\u202eb\\u0007\\u009b1mc\\u200f\\u2066d\\u007f\te\\u000d\nf \u001b[32mg\\u001b[0mh\u001b[0m",
  );
});

test("a printed line stays one line", () => {
  const { terminal, text } = streamOf();
  new Outlet(terminal).print(["a\nerror: b", "c"]);
  expect(text()).toBe("a\\nerror: b\nc\n");
});

test("a JSON text stays the same value", () => {
  const { terminal, text } = streamOf();
  const value = { "a\u001b[2J": "\u202e\u009b\u007f\n\t\\" };
  new Outlet(terminal).write(JSON.stringify(value));
  expect(text()).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
  expect(JSON.parse(text())).toEqual(value);
});

test("after an error of the stream nothing is written, and it is heard once", () => {
  const { terminal, text, fail } = streamOf();
  const heard: string[] = [];
  const outlet = new Outlet(terminal, { onLost: ({ message }) => heard.push(message) });
  outlet.write("a");
  fail("EPIPE");
  fail("EPIPE");
  outlet.write("b");
  expect([text(), heard]).toEqual(["a", ["EPIPE"]]);
});

test("an error that a write throws is one of the stream", () => {
  const heard: string[] = [];
  const write = (): void => {
    throw new Error("ENOSPC");
  };
  const outlet = new Outlet({ write }, { onLost: ({ message }) => heard.push(message) });
  outlet.print(["a", "b"]);
  outlet.print(["c"]);
  expect(heard).toEqual(["ENOSPC"]);
});

test("nothing is printed beside the door", () => {
  const root = new URL("../", import.meta.url);
  const sources = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
  );
  const found = sources.filter((file) =>
    /process\.std(out|err)|\bstd(out|err)\b.*= process|console\./.test(readFileSync(new URL(file, root), "utf8")),
  );
  // The door opens in main.ts; the editor of a line shows what the user types; doctor reads what its probe says; a card has
  // lines of code.
  expect(found.sort()).toEqual(["cli/conversation.ts", "cli/main.ts", "cli/probe-mpi.ts", "formats/card-loading.ts"]);
});
