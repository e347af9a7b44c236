import { inWorker } from "#platform";
import { DataError } from "../base/errors.js";
import { parsePythonJson } from "../python/json.js";
import type { ChatAnswer, ChatQuestion, ChatTask } from "./chat-processes.js";
import { ChatRenderer, type Conversation } from "./chat-rendering.js";

// The process that runs chat templates, so that it can be stopped.

function answer(renderer: ChatRenderer, conversation: Conversation, task: ChatTask): ChatAnswer {
  if (task === "whole" || task === "reply") return renderer.renderWithSpans(conversation, task);
  const text = renderer.render(conversation, { addGenerationPrompt: task === "prompt" });
  return { text, assistantSpans: [], spanMessages: [], isClosed: false };
}

/** Renderers of the templates that have been asked for. */
function renderers(): (question: ChatQuestion) => ChatRenderer {
  const known = new Map<string, ChatRenderer>();
  return ({ source, variables, date }) => {
    const key = JSON.stringify([source, variables, date]);
    const renderer = known.get(key) ?? new ChatRenderer(source, variables, date);
    known.set(key, renderer);
    return renderer;
  };
}

inWorker((port) => {
  const rendererOf = renderers();
  port.onMessage((message) => {
    const question = message as ChatQuestion;
    const answers = question.conversations.map((conversation): ChatAnswer => {
      try {
        return answer(rendererOf(question), parsePythonJson(conversation) as Conversation, question.task);
      } catch (error) {
        if (!(error instanceof DataError || error instanceof SyntaxError)) throw error;
        return { fault: error instanceof DataError ? error.text : error.message };
      }
    });
    port.post(answers);
  });
});
