import { expect, test } from "vitest";
import { ChatProcesses, type ChatWork } from "./chat-processes.js";

const workOf = (source: string): ChatWork => ({ source, variables: {}, task: "plain", date: null });
const SHOWN =
  "{% if messages[0].content == 'refused' %}{{ raise_exception('no') }}{% endif %}{{ messages[0].content }}";
const DOUBLES = `{% set ns = namespace(x=["a"]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`;
const conversation = (content: string): string => JSON.stringify({ messages: [{ role: "user", content }] });

test("processes go on with other templates, and after one was stopped", async () => {
  const processes = new ChatProcesses();
  try {
    const places = Array.from({ length: 5000 }, (_, index) => 2 * index + 1);
    const textOf = (place: number): string => conversation(place === 7 ? "refused" : `${place}`);
    const answers = await processes.render(workOf(SHOWN), places, textOf);
    expect(answers.map((answer) => ("text" in answer ? answer.text : answer.fault))).toEqual(
      places.map((place) => (place === 7 ? "the chat template says: no" : `${place}`)),
    );
    const filling = workOf(`{% if messages[0].content == '141' %}${DOUBLES}{% endif %}`);
    await expect(processes.render(filling, places, textOf)).rejects.toThrow(
      "the chat template was stopped at conversation 142: it took more than 256 MiB of memory",
    );
    const [again] = await processes.render(workOf(SHOWN), [0], textOf);
    expect(again).toMatchObject({ text: "0" });
  } finally {
    processes.close();
  }
});
