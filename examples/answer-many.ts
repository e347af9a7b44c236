// Answers several chats at once.
import { loadModel } from "highrank";

const model = await loadModel("HuggingFaceTB/SmolLM2-135M-Instruct");
const questions = ["Which animal barks?", "Which animal purrs?", "Which animal has a trunk?"];
const chats = questions.map((content) => [{ role: "user", content }]);

let answered = 0;
for await (const { text, finish } of model.generateMany(chats, { maxNewTokens: 20, temperature: 0 })) {
  console.log(`${questions[answered++]} ${text} (${finish})`);
}
await model.dispose();
