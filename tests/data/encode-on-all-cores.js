// Says whether threads make the same tokens, and what a thread of another module answers.
import { EncodingPool } from "../../dist/data/encoding-pool.js";
import { trainTokenizer } from "../../dist/tokenizers/train-tokenizer.js";

const texts = ["the cat sat on the mat", "naïve mats"];
const tokenizer = trainTokenizer(texts, { vocabSize: 300, maxLength: 64 });

async function encode(options) {
  const pool = new EncodingPool(tokenizer, { alone: 0, ...options });
  const encoded = await pool.encode({ kind: "documents", texts });
  await pool.close();
  return JSON.stringify(encoded);
}

console.log((await encode({ workers: 2 })) === (await encode({ workers: 1 })));
console.log(await encode({ workers: 2, module: () => new URL("answering-thread.js", import.meta.url) }));
