export type { ChatMessage, Conversation } from "./chat-rendering.js";
export { ChatTemplate } from "./chat-template.js";
