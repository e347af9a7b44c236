// Answers messages with an exported folder in Chromium, greedily, for each dtype, and prints the answers.
import { spawn } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const { root, ...request } = JSON.parse(process.argv[2]);
const modules = fileURLToPath(new URL("node_modules", import.meta.url));

const PAGE = `<!doctype html><script type="importmap">${JSON.stringify({
  imports: {
    "@huggingface/transformers": "/modules/@huggingface/transformers/dist/transformers.web.js",
    "onnxruntime-common": "/modules/onnxruntime-common/dist/esm/index.js",
    "onnxruntime-web/webgpu": "/modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs",
  },
})}</script><script type="module">
const send = (name, value) => fetch("/" + name, { method: "POST", body: JSON.stringify(value) });
try {
  const { env, pipeline } = await import("@huggingface/transformers");
  const { model, device, dtypes, messages, maxNewTokens } = ${JSON.stringify(request)};
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = "/models/";
  env.useBrowserCache = false;
  env.useWasmCache = false;
  env.backends.onnx.wasm.wasmPaths = "/modules/onnxruntime-web/dist/";
  const answers = [];
  for (const dtype of dtypes) {
    const generator = await pipeline("text-generation", model, { dtype, device });
    const [{ generated_text: chat }] = await generator(messages, { max_new_tokens: maxNewTokens, do_sample: false });
    answers.push({ dtype, answer: chat.at(-1).content });
    await generator.dispose();
  }
  await send("done", answers);
} catch (error) {
  await send("failed", String(error.stack ?? error));
}
</script>`;

const TYPES = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
};
const folders = { models: root, modules };

const profile = mkdtempSync(path.join(tmpdir(), "highrank-chromium-"));
let browser;
const end = (status) => {
  browser.on("close", () => {
    try {
      // Processes of the browser that are about to end may still write.
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    } catch {}
    process.exit(status);
  });
  browser.kill();
};

process.on("SIGTERM", () => end(1));
process.on("uncaughtException", (error) => {
  console.error(error);
  end(1);
});

const server = createServer((asked, answer) => {
  // Isolated, as threads of WebAssembly need it.
  answer.setHeader("Cross-Origin-Opener-Policy", "same-origin");
  answer.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
  const [, first, ...rest] = decodeURI(new URL(asked.url, "http://localhost").pathname).split("/");
  if (asked.method === "POST") {
    const parts = [];
    asked.on("data", (part) => parts.push(part));
    asked.on("end", () => {
      answer.end();
      const text = Buffer.concat(parts).toString();
      if (first === "done") console.log(text);
      else console.error(JSON.parse(text));
      end(first === "done" ? 0 : 1);
    });
    return;
  }
  if (first === "") {
    answer.setHeader("Content-Type", "text/html");
    answer.end(PAGE);
    return;
  }
  const file = path.join(folders[first] ?? "", ...rest);
  if (!(first in folders) || !existsSync(file)) {
    answer.statusCode = 404;
    answer.end();
    return;
  }
  answer.setHeader("Content-Type", TYPES[path.extname(file)] ?? "application/octet-stream");
  answer.setHeader("Content-Length", statSync(file).size);
  createReadStream(file).pipe(answer);
});
server.listen(0, "127.0.0.1", () => {
  const flags = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    `--user-data-dir=${profile}`,
  ];
  browser = spawn("chromium", [...flags, `http://127.0.0.1:${server.address().port}/`], { stdio: "ignore" });
  browser.on("error", (error) => {
    console.error(error);
    end(1);
  });
});
