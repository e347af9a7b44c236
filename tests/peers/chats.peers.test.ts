import { readFile, rm } from "node:fs/promises";
import { expect, test } from "vitest";
import { ChatRenderer } from "../../src/chats/chat-rendering.js";
import { today } from "../../src/chats/chat-template.js";
import { encodeTurns } from "../../src/data/scored-tokens.js";
import { Tokenizer } from "../../src/tokenizers/tokenizer.js";
import { CONVERSATIONS } from "./conversations.js";
import { ask, describePeers, realModel } from "./peer.js";

const TOKENS = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>", pad_token: "<pad>" };

interface Case {
  readonly template: string;
  readonly conversation: number;
  readonly text?: string;
  readonly prompt?: string;
  readonly refused?: string;
  readonly ids?: readonly number[];
  readonly mask: readonly number[] | null;
}

interface Judged {
  readonly templates: Readonly<Record<string, string>>;
  readonly cases: readonly Case[];
}

/**
 * Its training template has tags side by side and around nothing. Where a token goes across them, which its own
 * tokenizer's do not, it is scored by the place of the tags.
 */
const TAGS_WITHIN_TOKENS = "diffusion_gemma";

/** A list of parts that the template writes out as a list. We train on no such text. */
const PARTS_AS_LIST = /\[\{['"]type['"]: ['"]text['"]/;

describePeers("chats of every template of TRL", () => {
  test.each([
    ["smollm2-135m", 1],
    ["gemma3-270m", 3],
  ] as const)(
    "are rendered and scored as transformers and TRL do, with the tokenizer of %s",
    { timeout: 400_000 },
    async (name, every) => {
      const folder = await realModel(name);
      const chosen = Object.entries(CONVERSATIONS).filter((_, index) => index % every === 0);
      const path = await ask<string>("chats", "scored", { folder, conversations: chosen.map(([, own]) => own) });
      const { templates, cases } = JSON.parse(await readFile(path, "utf8")) as Judged;
      await rm(path);
      const tokenizer = await Tokenizer.fromFolder(folder);
      const renderers = new Map(Object.entries(templates).map(([name, source]) => [name, rendererOf(source)]));
      const counts = { equal: 0, scored: 0, "refused by both": 0, "joined parts": 0 };
      const faults: string[] = [];
      for (const { template, conversation, refused, text, prompt, ids, mask } of cases) {
        const [title, own] = chosen[conversation]!;
        const fault = (what: string) => faults.push(`${template}, ${title}: ${what}`);
        const isParts = title === "parts" && (refused !== undefined || PARTS_AS_LIST.test(text!));
        try {
          const renderer = renderers.get(template)!;
          const rendered = renderer.renderWithSpans(own);
          if (isParts) {
            if (PARTS_AS_LIST.test(rendered.text)) fault("writes out a list of parts");
            counts["joined parts"]++;
            continue;
          }
          if (refused !== undefined) {
            fault(`is rendered, but refused by transformers: ${refused}`);
            continue;
          }
          if (!rendered.text.startsWith(text!)) fault("another text");
          // GLM's turns end with the role of the next one, which TRL adds at the end too.
          else if (rendered.text !== text && !template.startsWith("glm")) fault("a longer text");
          else if (renderer.render(own, { addGenerationPrompt: true }) !== prompt) fault("another prompt");
          else counts.equal++;
          if (mask === null || template === TAGS_WITHIN_TOKENS) continue;
          const tokens = encodeTurns(tokenizer, rendered.text, rendered.assistantSpans);
          if (tokens.ids.join() !== ids!.join()) fault("other tokens");
          else if (Array.from(tokens.labels, (label) => (label === -100 ? 0 : 1)).join() !== mask.join())
            fault("other scores");
          else counts.scored++;
        } catch (error) {
          if (refused === undefined) fault((error as Error).message);
          else counts["refused by both"]++;
        }
      }
      expect(faults).toEqual([]);
      console.info(`${name}: ${JSON.stringify(counts)}`);
      expect(counts.equal).toBeGreaterThan(1000 / every);
      expect(counts.scored).toBeGreaterThan(800 / every);
    },
  );
});

function rendererOf(source: string): ChatRenderer {
  return new ChatRenderer(source, TOKENS, today());
}
