import type { Transport } from "./transport.js";

/** The ends of a job whose ranks are tasks of one process, by rank. */
export function memoryTransports(size: number): Transport[] {
  const mailboxes = new Map<string, Mailbox>();
  const mailbox = (from: number, to: number): Mailbox => {
    const way = `${from} to ${to}`;
    const known = mailboxes.get(way) ?? new Mailbox();
    mailboxes.set(way, known);
    return known;
  };
  return Array.from({ length: size }, (_, rank) => ({
    rank,
    size,
    exchange: async ({ send, receive }) => {
      if (send !== undefined) mailbox(rank, send.to).put(send.bytes.slice());
      if (receive === undefined) return;
      const message = await mailbox(receive.from, rank).take();
      if (message.length !== receive.bytes.length) {
        const sizes = `${message.length} bytes from rank ${receive.from}, and makes room for ${receive.bytes.length}`;
        throw new RangeError(`rank ${rank} gets ${sizes}`);
      }
      receive.bytes.set(message);
    },
    close: async () => {},
  }));
}

/** Messages from one rank to another, in order. */
class Mailbox {
  readonly #messages: Uint8Array[] = [];
  readonly #waiting: ((message: Uint8Array) => void)[] = [];

  put(message: Uint8Array): void {
    const taker = this.#waiting.shift();
    if (taker === undefined) this.#messages.push(message);
    else taker(message);
  }

  take(): Promise<Uint8Array> {
    const message = this.#messages.shift();
    if (message !== undefined) return Promise.resolve(message);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
