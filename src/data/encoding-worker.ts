import { inWorker } from "#platform";
import { takeApart } from "../base/error-parts.js";
import { Tokenizer, type TokenizerContent } from "../tokenizers/tokenizer.js";
import type { EncodingAnswer } from "./encoding-pool.js";
import { type EncodingTask, encodeTask } from "./encoding-work.js";

// A thread that encodes texts, one task after another.

inWorker((port) => {
  const tokenizer = Tokenizer.ofContent(port.data as TokenizerContent);
  port.onMessage((message) => {
    try {
      const encoded = encodeTask(tokenizer, message as EncodingTask);
      const { ids, labels, ends } = encoded;
      port.post({ encoded } satisfies EncodingAnswer, [ids.buffer, labels.buffer, ends.buffer]);
    } catch (error) {
      port.post({ error: takeApart(error) } satisfies EncodingAnswer);
    }
  });
});
