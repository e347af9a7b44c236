"""Chat templates of TRL and of real tokenizers over many conversations, as transformers renders them."""

import json
from datetime import datetime
from pathlib import Path

import trl
from transformers.utils import chat_template_utils

TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "Name of the town, as in \"Zürich\""},
                "days": {"type": "integer", "default": 1, "minimum": 1},
                "unit": {"type": "string", "enum": ["celsius", "kelvin"], "nullable": True},
                "exact": {"type": "boolean", "default": False},
                "step": {"type": "number", "default": 20.0},
            },
            "required": ["place"],
        },
        "return": {"type": "object", "description": "What the sky does <&>"},
    },
}
SUM = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.\nTwo lines.",
        "parameters": {
            "type": "object",
            "properties": {
                "terms": {"type": "array", "items": {"type": "number"}, "description": "What to add"},
                "how": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "inner": {"type": "object", "properties": {"a": {"type": ["string", "integer"]}}},
            },
            "required": [],
        },
    },
}
BARE = {"name": "ping", "description": "No wrapper", "parameters": {"type": "object", "properties": {}}}


def call(name, arguments, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


ASK = call("get_weather", {"place": "Bern", "days": 3, "step": 20.0, "exact": True, "unit": None})

CONVERSATIONS = {
    "one turn": {"messages": [user("What is 2 + 2?"), assistant("It is 4.")]},
    "user alone": {"messages": [user("Hello")]},
    "system": {"messages": [system("You are brief."), user("Hi"), assistant("Hello.")]},
    "several turns": {"messages": [user(" a\n"), assistant("\n b "), user("c"), assistant("d"), user("e"), assistant("f")]},
    "system and several turns": {
        "messages": [system("  Be kind. \n"), user("x"), assistant("y"), user("z"), assistant("w"), user("last")]
    },
    "scripts": {"messages": [user("Grüße 你好 😀 \u200b"), assistant("ответ: 🙂\u00a0é\ufeff")]},
    "empty": {"messages": [user(""), assistant("")]},
    "none content": {"messages": [user("go"), assistant(None)]},
    "no content": {"messages": [user("go"), {"role": "assistant"}]},
    "indented answer": {"messages": [user("code"), assistant("    return 1\n")]},
    "think in content": {
        "messages": [user("q"), assistant("<think>\nbecause\n</think>\n\nanswer"), user("r"), assistant("<think></think>s")]
    },
    "reasoning": {"messages": [user("q"), assistant("answer", reasoning_content="because\n"), user("more")]},
    "reasoning at the end": {
        "messages": [system("s"), user("q"), assistant("one", thinking="first"), user("r"), assistant("two", reasoning="second")]
    },
    "tools": {"messages": [user("Weather?"), assistant("Where?")], "tools": [WEATHER, SUM]},
    "tools and system": {"messages": [system("Use tools."), user("Weather?")], "tools": [WEATHER]},
    "bare tool": {"messages": [user("Weather?")], "tools": [BARE]},
    "tool call": {
        "messages": [
            user("Weather?"),
            assistant("", tool_calls=[ASK]),
            {"role": "tool", "content": '{"sky": "blue"}', "name": "get_weather"},
            assistant("Blue."),
        ],
        "tools": [WEATHER],
    },
    "tool calls": {
        "messages": [
            system("s"),
            user("Both!"),
            assistant(
                "Let me see.",
                tool_calls=[ASK | {"id": "abcdefghi"}, call("add", {"terms": [1, 2.5, 1e22, -0.0], "how": "'q' <\"&\">"}, id="123456789")],
            ),
            {"role": "tool", "content": "blue", "tool_call_id": "abcdefghi", "name": "get_weather"},
            {"role": "tool", "content": [{"type": "text", "text": "3"}], "tool_call_id": "123456789", "name": "add"},
            assistant("Blue and 3.", reasoning_content="done"),
            user("Thanks"),
        ],
        "tools": [WEATHER, SUM],
    },
    "tool call without content": {
        "messages": [user("w"), {"role": "assistant", "tool_calls": [ASK]}, {"role": "tool", "content": "ok"}]
    },
    "tool call as text": {
        "messages": [user("w"), assistant(None, tool_calls=[call("get_weather", '{"place": "Bern"}')]), {"role": "tool", "content": "ok"}]
    },
    "tool call with reasoning": {
        "messages": [
            user("w"),
            assistant("", tool_calls=[ASK], reasoning_content="I should ask."),
            {"role": "tool", "content": "ok"},
            assistant("", tool_calls=[call("add", {})]),
            {"role": "tool", "content": "0"},
            assistant("All done."),
        ],
        "tools": [WEATHER, SUM],
    },
    "parts": {"messages": [user([{"type": "text", "text": "hi"}, {"type": "text", "text": " there"}]), assistant([{"type": "text", "text": "yo"}])]},
    "image": {"messages": [user([{"type": "image"}, {"type": "text", "text": "What is it?"}]), assistant("A cat.")]},
    "system parts": {"messages": [system([{"type": "text", "text": "S"}]), user("u"), assistant("a")]},
    "developer": {"messages": [{"role": "developer", "content": "d"}, user("u"), assistant("a")]},
    "unknown role": {"messages": [{"role": "narrator", "content": "n"}, user("u")]},
    "assistant first": {"messages": [assistant("a"), user("u"), assistant("b")]},
    "two users": {"messages": [user("u"), user("v"), assistant("a"), assistant("b")]},
    "other keys": {"messages": [user("u") | {"name": "Ann", "weight": 1.0}, assistant("a", prefix=True, channel="final")]},
    "no thinking": {"messages": [user("u"), assistant("a")], "enable_thinking": False},
    "thinking": {"messages": [user("u"), assistant("a", reasoning_content="r")], "enable_thinking": True, "thinking": True},
    "effort": {"messages": [user("u")], "reasoning_effort": "high", "date_string": "1 Jan 2030"},
    "documents": {"messages": [user("u"), assistant("a")], "documents": [{"title": "T", "text": "x"}]},
    "nothing": {"messages": []},
}


class Clock(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 11, 29, 7, 5, 9)


def templates(folders):
    """Sources by name: those of TRL, and `chat_template` of tokenizer_config.json in each folder."""
    found = {}
    for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja")):
        found[f"trl {path.stem}"] = path.read_text()
    for name, folder in folders.items():
        lone = Path(folder, "chat_template.jinja")
        stored = lone.read_text() if lone.exists() else json.loads(Path(folder, "tokenizer_config.json").read_text()).get("chat_template")
        for one in [{"name": "", "template": stored}] if isinstance(stored, str) else stored or []:
            found[f"{name} {one['name']}".strip()] = one["template"]
    return found


def marked(value):
    """JSON that tells floats of integral value from ints."""
    if isinstance(value, float):
        return {"$float": repr(value)}
    if isinstance(value, dict):
        return {key: marked(item) for key, item in value.items()}
    return [marked(item) for item in value] if isinstance(value, (list, tuple)) else value


def render_all(folders):
    """For each template and conversation the text and the spans of its generation tags, in code points, or null."""
    usual, chat_template_utils.datetime = chat_template_utils.datetime, Clock
    try:
        sources = templates(folders)
        given = {name: with_aliases(one) for name, one in CONVERSATIONS.items()}
        cases = []
        for template, source in sources.items():
            for name, conversation in given.items():
                for prompt in (False, True):
                    cases.append([template, name, prompt, *render(source, conversation, prompt)])
        return {"templates": sources, "conversations": marked(given), "tokens": TOKENS, "cases": cases}
    finally:
        chat_template_utils.datetime = usual


def with_aliases(conversation):
    return conversation | {"messages": chat_template_utils._alias_reasoning_fields(conversation["messages"])}


def render(source, conversation, prompt):
    messages, *_ = [conversation["messages"]]
    rest = {key: value for key, value in conversation.items() if key != "messages"}
    try:
        texts, spans = chat_template_utils.render_jinja_template(
            conversations=[messages],
            chat_template=source,
            add_generation_prompt=prompt,
            return_assistant_tokens_mask=True,
            **TOKENS,
            **rest,
        )
    except Exception as error:
        return [None, f"{type(error).__name__}: {error}"]
    return [texts[0], spans[0]]
