import { MessageWriter } from "../compiler/onnx-protobuf.js";

// The files that TensorBoard reads: TFRecord frames, each around an Event (tensorboard/compat/proto/event.proto).

/** A number or a text under a name, of one step. */
export interface EventValue {
  readonly tag: string;
  readonly value: number | string;
}

/** Enums of the protocol. */
const DT_STRING = 7;
const SESSION_START = 1;

/**
 * The first events of a file. Of those in files before, readers drop all of `purgeStep` and later, as with PyTorch's
 * SummaryWriter.
 * @param wallTime seconds since 1970.
 */
export function fileBeginning(wallTime: number, purgeStep: number | null): Uint8Array {
  const version = event(wallTime, purgeStep ?? 0).string(3, "brain.Event:2");
  if (purgeStep === null) return framed(version);
  const session = new MessageWriter().int(1, SESSION_START);
  return joined([framed(version), framed(event(wallTime, purgeStep).message(7, session))]);
}

/** One event with its values. */
export function summaryEvent(wallTime: number, step: number, values: readonly EventValue[]): Uint8Array {
  const summary = new MessageWriter();
  for (const { tag, value } of values) {
    const entry = new MessageWriter().string(1, tag);
    summary.message(1, typeof value === "number" ? entry.float(2, value) : textEntry(entry, value));
  }
  return framed(event(wallTime, step).message(5, summary));
}

function event(wallTime: number, step: number): MessageWriter {
  return new MessageWriter().double(1, wallTime).int(2, step);
}

/** A tensor of one string, for the plugin that shows texts. */
function textEntry(entry: MessageWriter, text: string): MessageWriter {
  const shape = new MessageWriter().message(2, new MessageWriter().int(1, 1));
  const tensor = new MessageWriter().int(1, DT_STRING).message(2, shape).string(8, text);
  const plugin = new MessageWriter().string(1, "text");
  return entry.message(8, tensor).message(9, new MessageWriter().message(1, plugin));
}

/** Length, its checksum, the message, its checksum. */
function framed(message: MessageWriter): Uint8Array {
  const data = message.finish();
  const frame = new Uint8Array(12 + data.length + 4);
  const view = new DataView(frame.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedChecksum(frame.subarray(0, 8)), true);
  frame.set(data, 12);
  view.setUint32(12 + data.length, maskedChecksum(data), true);
  return frame;
}

/** The events one after another. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The reversed polynomial of CRC-32C (Castagnoli). */
const POLYNOMIAL = 0x82f63b78;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value;
});

export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 0xff]! ^ (value >>> 8);
  return ~value >>> 0;
}

/** Checksums of TFRecord are turned and shifted, since data may hold checksums themselves. */
function maskedChecksum(bytes: Uint8Array): number {
  const sum = crc32c(bytes);
  return (((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0;
}
