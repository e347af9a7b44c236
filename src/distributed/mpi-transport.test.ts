import { expect, test } from "vitest";
import type { MpiLibrary, MpiRequest } from "#platform";
import { type MpiOptions, MpiTransport, WAITED_TOO_LONG } from "./mpi-transport.js";

/** A library that notes what it is asked for; each message is done when `isDone` says so. */
class NotingLibrary implements MpiLibrary {
  readonly name = "libmpi.so";
  readonly version = "Open MPI v4.1.4";
  readonly calls: string[] = [];
  isDone = (): boolean => true;

  initialize = () => ({ rank: 1, size: 4 });
  send = (bytes: Uint8Array, to: number): MpiRequest => this.#note(`send ${bytes.join()} to ${to}`);
  receive = (bytes: Uint8Array, from: number): MpiRequest => this.#note(`receive ${bytes.length} from ${from}`);
  finalize = () => void this.calls.push("finalize");
  abort = (line: string, exitCode: number): never => {
    throw new Error(`${exitCode}: ${line}`);
  };

  #note(call: string): MpiRequest {
    this.calls.push(call);
    return { isDone: () => this.isDone() };
  }
}

function transportOf(library: MpiLibrary, options: Partial<MpiOptions> = {}): MpiTransport {
  return new MpiTransport(library, 1, 4, { launcher: null, timeoutSeconds: 60, ...options });
}

test("a message goes in parts, each of which has a place before it comes, and an empty one goes too", async () => {
  const library = new NotingLibrary();
  const transport = transportOf(library, { partBytes: 2 });
  const send = { to: 0, bytes: Uint8Array.of(1, 2, 3) };
  await transport.exchange({ send, receive: { from: 2, bytes: new Uint8Array(5) } });
  await transport.exchange({ send: { to: 3, bytes: new Uint8Array(0) } });
  await transport.exchange({});
  await transport.close();
  expect(library.calls).toEqual([
    ...["receive 2 from 2", "send 1,2 to 0", "receive 2 from 2", "send 3 to 0", "receive 1 from 2"],
    ...["send  to 3", "finalize"],
  ]);
});

test("it waits until all messages are done", async () => {
  const library = new NotingLibrary();
  let asked = 0;
  library.isDone = () => asked++ > 100;
  await transportOf(library).exchange({ receive: { from: 2, bytes: new Uint8Array(1) } });
  expect(asked).toBeGreaterThan(100);
});

test("while it waits for long, the thread does other work", async () => {
  const library = new NotingLibrary();
  let isDone = false;
  library.isDone = () => isDone;
  setTimeout(() => {
    isDone = true;
  }, 30);
  await transportOf(library).exchange({ receive: { from: 2, bytes: new Uint8Array(1) } });
});

test("after the timeout the job ends, and the line says who waits where and for whom", async () => {
  const library = new NotingLibrary();
  library.isDone = () => false;
  const bytes = new Uint8Array(1);
  const ended = (messages: Parameters<MpiTransport["exchange"]>[0], place?: () => string) =>
    transportOf(library, { timeoutSeconds: 0.01, ...(place && { place }) }).exchange(messages);
  await expect(ended({ receive: { from: 2, bytes } }, () => "step 12")).rejects.toThrow(
    `${WAITED_TOO_LONG}: error: rank 1 of 4, step 12: nothing from rank 2 for 0.01 s; all ranks end with exit code 75`,
  );
  await expect(ended({ send: { to: 0, bytes }, receive: { from: 0, bytes } })).rejects.toThrow(
    "75: error: rank 1 of 4: nothing from rank 0 for 0.01 s",
  );
  await expect(ended({ send: { to: 3, bytes }, receive: { from: 0, bytes } })).rejects.toThrow("from rank 0 or 3 for");
});
