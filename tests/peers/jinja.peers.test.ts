import { expect, test } from "vitest";
import { DataError } from "../../src/base/errors.js";
import { Template } from "../../src/jinja/template.js";
import { PythonFloat } from "../../src/python/float.js";
import { ask, describePeers } from "./peer.js";
import { realTokenizer } from "./real-tokenizers.js";

const TOKENIZERS = [
  ...(["llama2", "llama3", "llama3_1", "qwen3", "gemma3", "deepseek_v3", "gptoss"] as const),
  "smollm2-135m",
] as const;

type Variables = Readonly<Record<string, unknown>>;

/** The text of a template, or why it is refused. */
function outcome(render: () => string): { text: string | null; reason?: string } {
  try {
    return { text: render() };
  } catch (error) {
    if (error instanceof DataError) return { text: null, reason: error.message };
    throw error;
  }
}

interface RandomRenderings {
  readonly variables: Variables;
  readonly cases: readonly (readonly [template: string, right: string | null])[];
}

interface ChatRenderings {
  readonly templates: Readonly<Record<string, string>>;
  readonly conversations: Readonly<Record<string, Variables>>;
  readonly tokens: Variables;
  /** Spans of the generation tags in code points, or the reason of a refusal. */
  readonly cases: readonly (readonly [
    template: string,
    conversation: string,
    addGenerationPrompt: boolean,
    text: string | null,
    spans: readonly (readonly [number, number])[] | string,
  ])[];
}

/** Python marks its floats of integral value, which JSON cannot tell from ints. */
function withFloats(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withFloats);
  if ("$float" in value) return new PythonFloat(Number(value.$float));
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, withFloats(part)]));
}

describePeers("the engine of chat templates against Jinja2 and transformers", () => {
  test("random templates give the same text, and those that Jinja2 refuses are refused", async () => {
    const { variables, cases } = await ask<RandomRenderings>("jinja_engine", "random_renderings", {
      seed: 20,
      count: 3000,
    });
    const compared = cases.map(([template, right]) => ({
      template,
      right,
      ...outcome(() => new Template(template).render(variables)),
    }));
    expect(compared.filter(({ text, right }) => text !== null && text !== right)).toEqual([]);
    // Refused by name: bytes, addresses in memory, and slices of constants that have none, which are undefined there.
    const refused = compared.filter(({ text, right }) => text === null && right !== null);
    expect(
      refused.filter(({ reason }) => !/gives bytes|cannot be sliced|no text that is the same/.test(reason!)),
    ).toEqual([]);
    expect(cases.filter(([, right]) => right !== null).length).toBeGreaterThan(1000);
  });

  test("templates of TRL and of real tokenizers render every conversation as transformers does", async () => {
    const folders = Object.fromEntries(
      await Promise.all(TOKENIZERS.map(async (name) => [name, await realTokenizer(name)] as const)),
    );
    const { templates, conversations, tokens, cases } = await ask<ChatRenderings>("chat_templates", "render_all", {
      folders,
    });
    // The moment that the Python side takes for now.
    const now = new Date(Date.UTC(2026, 10, 29, 7, 5, 9));
    const compiled = new Map(Object.entries(templates).map(([name, source]) => [name, new Template(source, { now })]));
    const given = withFloats(conversations) as Readonly<Record<string, Variables>>;
    const differences = cases.flatMap(([name, conversation, addGenerationPrompt, right, rightSpans]) => {
      const variables = { tools: null, documents: null, ...tokens, ...given[conversation] };
      let spans: unknown;
      const got = outcome(() => {
        const rendered = compiled
          .get(name)!
          .renderWithGenerations({ ...variables, add_generation_prompt: addGenerationPrompt });
        const codePoints = (units: number): number => Array.from(rendered.text.slice(0, units)).length;
        spans = rendered.generations.map((span) => span.map(codePoints));
        return rendered.text;
      });
      const isSame = got.text === right && (right === null || JSON.stringify(spans) === JSON.stringify(rightSpans));
      return isSame ? [] : [{ name, conversation, addGenerationPrompt, right, rightSpans, ...got, spans }];
    });
    expect(differences).toEqual([]);
    expect(compiled.size).toBeGreaterThan(75);
    expect(cases.filter(([, , , right]) => right !== null).length).toBeGreaterThan(3500);
  });
});
