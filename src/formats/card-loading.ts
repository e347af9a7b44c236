/** What lies in the folder of a card. */
export type CardForm =
  | { readonly kind: "adapter"; readonly hasTokenizer: boolean; readonly isChat: boolean }
  /** A Hugging Face folder. @param quantized if transformers needs bitsandbytes for it. */
  | { readonly kind: "model"; readonly isQuantized: boolean; readonly isChat: boolean }
  /** @param dtype as transformers.js calls that of the first model. */
  | { readonly kind: "onnx"; readonly dtype: string; readonly isChat: boolean }
  | { readonly kind: "gguf" | "gguf-adapter"; readonly file: string };

/** The folder of the card, in code; a repository has its name there. */
export const HERE = ".";

/** The base as far as it is loaded beside an adapter. */
interface LoadedBase {
  readonly name: string;
  readonly revision: string | null;
  readonly isOfHub: boolean;
}

/** Sections of code that loads what lies in the folder, in the programs that read it. */
export function loadingOf(form: CardForm, base: LoadedBase | null): string {
  switch (form.kind) {
    case "adapter":
      return [
        section("PEFT", "python", peftCode(form, base)),
        section("highrank", "sh", highrankCommand(form.isChat, base)),
      ].join("\n\n");
    case "model":
      return [
        section("transformers", "python", transformersCode(form), form.isQuantized ? "It needs bitsandbytes." : ""),
        section("highrank", "sh", highrankCommand(form.isChat, null)),
      ].join("\n\n");
    case "onnx":
      return section("transformers.js", "js", transformersJsCode(form));
    case "gguf":
      return section("llama.cpp", "sh", `llama-cli -m ${word(form.file)} -p "Once upon a time"`);
    case "gguf-adapter":
      return section(
        "llama.cpp",
        "sh",
        `llama-cli -m base.gguf --lora ${word(form.file)} -p "Once upon a time"`,
        "`base.gguf` stands for the GGUF file of the base.",
      );
  }
}

function section(title: string, language: string, code: string, note = ""): string {
  return `### ${title}\n\n${note === "" ? "" : `${note}\n\n`}\`\`\`${language}\n${code}\n\`\`\``;
}

const COMMENT = "  # this folder, or the name of the repository";

function peftCode({ hasTokenizer, isChat }: CardForm & { kind: "adapter" }, base: LoadedBase | null): string {
  const name = base === null || !base.isOfHub ? `path/to/${base?.name ?? "base"}` : base.name;
  const revision = base?.isOfHub && base.revision !== null ? `, revision=${JSON.stringify(base.revision)}` : "";
  return [
    "from peft import PeftModel",
    "from transformers import AutoModelForCausalLM, AutoTokenizer",
    "",
    `here = ${JSON.stringify(HERE)}${COMMENT}`,
    `base = ${JSON.stringify(name)}`,
    `tokenizer = AutoTokenizer.from_pretrained(${hasTokenizer ? "here" : `base${revision}`})`,
    `model = AutoModelForCausalLM.from_pretrained(base${revision})`,
    "model = PeftModel.from_pretrained(model, here)",
    ...generation(isChat),
  ].join("\n");
}

function transformersCode({ isChat }: CardForm & { kind: "model" }): string {
  return [
    "from transformers import AutoModelForCausalLM, AutoTokenizer",
    "",
    `here = ${JSON.stringify(HERE)}${COMMENT}`,
    "tokenizer = AutoTokenizer.from_pretrained(here)",
    "model = AutoModelForCausalLM.from_pretrained(here)",
    ...generation(isChat),
  ].join("\n");
}

function generation(isChat: boolean): string[] {
  const tokens = isChat
    ? [
        'messages = [{"role": "user", "content": "Hello!"}]',
        "text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)",
        'inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")',
      ]
    : ['inputs = tokenizer("Once upon a time", return_tensors="pt")'];
  return [
    ...tokens,
    'output = model.generate(input_ids=inputs["input_ids"], max_new_tokens=50)',
    "print(tokenizer.decode(output[0]))",
  ];
}

function transformersJsCode({ dtype, isChat }: CardForm & { kind: "onnx" }): string {
  const prompt = isChat ? '[{ role: "user", content: "Hello!" }]' : '"Once upon a time"';
  return [
    'import { pipeline } from "@huggingface/transformers";',
    "",
    `const here = ${JSON.stringify(HERE)}; // this folder, or the name of the repository`,
    `const generator = await pipeline("text-generation", here, { dtype: ${JSON.stringify(dtype)} });`,
    `const output = await generator(${prompt}, { max_new_tokens: 50 });`,
    `console.log(output[0].generated_text${isChat ? ".at(-1).content" : ""});`,
  ].join("\n");
}

function highrankCommand(isChat: boolean, base: LoadedBase | null): string {
  const asked = isChat ? '--chat --prompt "Hello!"' : '--prompt "Once upon a time"';
  const named = base !== null && !base.isOfHub ? ` --base ${word(`path/to/${base.name}`)}` : "";
  return `npx highrank generate ${asked}${named} ${HERE}`;
}

/** The text as one word of a shell. */
function word(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
