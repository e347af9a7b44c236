import type { Conversation } from "../../src/chats/chat-rendering.js";

const user = (content: unknown) => ({ role: "user", content });
const model = (content: unknown, more: object = {}) => ({ role: "assistant", content, ...more });
const system = { role: "system", content: "Answer in one word." };
const parts = (...texts: string[]) => texts.map((text) => ({ type: "text", text }));
const call = (name: string, args: unknown) => ({ type: "function", function: { name, arguments: args } });

const TOOLS = [
  {
    type: "function",
    function: {
      name: "tides",
      description: "Tells when the sea is high.",
      parameters: {
        type: "object",
        properties: { harbour: { type: "string", description: "Its name" }, days: { type: "integer" } },
        required: ["harbour"],
      },
    },
  },
  {
    type: "function",
    function: {
      name: "sum",
      description: "Adds two numbers.",
      parameters: { type: "object", properties: { a: { type: "number" }, b: { type: "number" } }, required: ["a"] },
    },
  },
];

/** Conversations that differ in everything that templates look at. */
export const CONVERSATIONS: Readonly<Record<string, Conversation>> = {
  "one turn": { messages: [user("Which colour?"), model("Blue.")] },
  "three turns": {
    messages: [user("a?"), model("Alpha."), user("b?"), model("Beta."), user("c?"), model("Gamma.")],
  },
  system: { messages: [system, user("Why?"), model("Because."), user("And?"), model("Enough.")] },
  open: { messages: [user("One"), model("Two"), user("Three")] },
  "the same words": { messages: [user("yes"), model("yes"), user("yes"), model("yes")] },
  scripts: { messages: [user("Straße, 京都 🙂?"), model("ठीक है 🚀 — ok"), user("ø"), model("ñ✓\u200d")] },
  "white space": {
    messages: [user("  x\n"), model("\n\tif a:\n\t\treturn\n\n"), user("go on "), model("  indented ")],
  },
  reasoning: {
    messages: [
      user("q"),
      model("a", { reasoning_content: "since\nso" }),
      user("q2"),
      model("a2", { reasoning_content: "thus" }),
    ],
  },
  "other names of it": {
    messages: [user("q"), model("a", { thinking: "hm" }), user("q2"), model("a2", { reasoning: "oh" })],
  },
  "thoughts in the answer": {
    messages: [user("q"), model("<think>\nfirst\n</think>\n\na"), user("q2"), model("<think>\nsecond\n</think>\n\na2")],
  },
  "a tool": {
    messages: [
      user("High water?"),
      model("", { tool_calls: [call("tides", { harbour: "Brest", days: 2 })] }),
      { role: "tool", content: "at noon", name: "tides" },
      model("At noon."),
      user("Thanks"),
      model("Gladly."),
    ],
    tools: TOOLS,
  },
  "two tools and reasoning": {
    messages: [
      system,
      user("Both?"),
      model(null, {
        reasoning_content: "ask",
        tool_calls: [call("tides", { harbour: "Ålesund" }), call("sum", { a: 1, b: 2.5 })],
      }),
      { role: "tool", content: "at six", name: "tides" },
      { role: "tool", content: "3.5", name: "sum" },
      model("Six and 3.5.", { reasoning_content: "tell" }),
    ],
    tools: TOOLS,
  },
  "arguments as text": {
    messages: [
      user("Tides?"),
      model("I look.", { tool_calls: [call("tides", '{"harbour": "Brest"}')] }),
      { role: "tool", content: "late", name: "tides" },
      model("Late."),
    ],
    tools: TOOLS,
  },
  parts: {
    messages: [user(parts("hi ", "you")), model(parts("yo")), user(parts("more")), model(parts("no ", "more"))],
  },
  "without thinking": {
    messages: [user("q"), model("a"), user("q2"), model("a2")],
    templateVariables: { enable_thinking: false },
  },
  "the model begins": { messages: [model("Welcome."), user("thanks"), model("Fine.")] },
  "two of the model": { messages: [user("a"), model("b"), model("c"), user("d"), model("e")] },
  "empty answers": { messages: [user("hush"), model(""), user("and?"), model("ok")] },
  documents: { messages: [user("q"), model("a")], documents: [{ title: "T", text: "Body" }] },
};
