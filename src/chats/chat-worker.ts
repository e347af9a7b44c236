import { inWorker, nextTurn } from "#platform";
import { DataError } from "../base/errors.js";
import { parsePythonJson } from "../python/json.js";
import { ChatRenderer, type Conversation } from "./chat-rendering.js";
import type { ChatAnswer, ChatProcessWork, ChatTask } from "./chat-template.js";

// The process that runs a chat template, so that it can be stopped.

function answer(renderer: ChatRenderer, conversation: Conversation, task: ChatTask): ChatAnswer {
  if (task === "whole" || task === "reply") return renderer.renderWithSpans(conversation, task);
  const text = renderer.render(conversation, { addGenerationPrompt: task === "prompt" });
  return { text, assistantSpans: [], spanMessages: [], isClosed: false };
}

inWorker((port) => {
  port.onMessage(async (work) => {
    const { source, variables, conversations, task, date, atOnce } = work as ChatProcessWork;
    let renderer: ChatRenderer | undefined;
    let answers: ChatAnswer[] = [];
    for (const [index, conversation] of conversations.entries()) {
      try {
        renderer ??= new ChatRenderer(source, variables, date);
        answers.push(answer(renderer, parsePythonJson(conversation) as Conversation, task));
      } catch (error) {
        if (!(error instanceof DataError || error instanceof SyntaxError)) throw error;
        answers.push({ fault: error instanceof DataError ? error.text : error.message });
      }
      if (answers.length < atOnce && index + 1 < conversations.length) continue;
      port.post(answers);
      answers = [];
      // Messages leave between two turns of the event loop, and each one shows progress.
      await nextTurn();
    }
    port.close();
  });
});
