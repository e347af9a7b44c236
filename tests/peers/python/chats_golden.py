"""Writes ../../golden/chat-turns.json: the templates of ../../data/turn-templates rendered by transformers.

    HF_HUB_OFFLINE=1 python tests/peers/python/chats_golden.py
"""
import json
from pathlib import Path

import transformers

from chats import render

HERE = Path(__file__).parent
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def user(content):
    return {"role": "user", "content": content}


def model(content, **more):
    return {"role": "assistant", "content": content, **more}


def parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


CALL = {"type": "function", "function": {"name": "sum", "arguments": {"of": [1, 2]}}}

CONVERSATIONS = {
    "one turn": [user("How many?"), model("Three.")],
    "three turns": [user("a"), model("b"), user("c"), model("d"), user("e"), model("f")],
    "the same words": [user("yes"), model("yes"), user("yes"), model("yes")],
    "system": [{"role": "system", "content": "Be kind."}, user("Hi"), model("Hello 🙂 \n"), user("Bye"), model(" So long")],
    "open": [user("One"), model("Two"), user("Three")],
    "the model begins": [model("Welcome."), user("Thanks"), model("Sure.")],
    "two of the model": [user("x"), model("y"), model("z")],
    "reasoning": [user("q"), model("a", reasoning_content="r"), user("q2"), model("a2", reasoning_content="r2")],
    "reasoning by other names": [user("q"), model("a", reasoning="r"), user("q2"), model("a2", thinking="r2", reasoning="no")],
    "thoughts in the answer": [user("q"), model("<think>\nr\n</think>\na"), user("q2"), model("<think>\nr2\n</think>\na2")],
    "null keys": [user("q") | {"name": None}, model("a", tool_calls=None, reasoning_content=None)],
    "tool results": [
        user("Add."),
        model("", tool_calls=[CALL]),
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "three"},
        model("It is 3."),
        user("Thanks"),
        model("Yes."),
    ],
}
# For the template that takes parts.
PARTS = {"parts": [user(parts("a", "b")), model(parts("c"))]}


def main():
    cases = []
    for path in sorted((HERE / "../../data/turn-templates").glob("*.jinja")):
        conversations = CONVERSATIONS | (PARTS if path.name == "by-index.jinja" else {})
        for name, messages in conversations.items():
            case = {"template": path.name, "name": name, "messages": messages}
            cases.append(case | render(path.read_text(), {"messages": messages}, TOKENS))
    golden = {"transformers": transformers.__version__, "tokens": TOKENS, "cases": cases}
    (HERE / "../../golden/chat-turns.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
