"""Writes ../golden/chat-templates.json: the templates beside this file rendered by Python's jinja2 as transformers sets it up.

    python3 tests/data/chat_golden.py
"""
import json
from pathlib import Path

import jinja2
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = Path(__file__).parent
BEGIN, END = "\x01", "\x02"


class Generation(Extension):
    """{% generation %} … {% endgeneration %}: what is between comes out between two marks."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller):
        return BEGIN + caller() + END


class Refused(Exception):
    pass


def raise_exception(message):
    raise Refused(message)


environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation])
environment.globals["raise_exception"] = raise_exception
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def turn(role, content):
    return {"role": role, "content": content}


CONVERSATIONS = {
    "one turn": [turn("user", "What is 2 + 2?"), turn("assistant", "It is 4.")],
    "several turns": [
        turn("user", " Hi\nthere "),
        turn("assistant", "Hello! 🙂\n"),
        turn("user", "And?"),
        turn("assistant", "  That is all  "),
    ],
    "system": [turn("system", "Be brief."), turn("user", "Why?"), turn("assistant", "Because.")],
    "open": [turn("user", "One"), turn("assistant", "Two"), turn("user", "Three")],
    "two of the user": [turn("user", "One"), turn("user", "Two"), turn("assistant", "Three")],
}


def render(template, messages, add_generation_prompt):
    return template.render(messages=messages, add_generation_prompt=add_generation_prompt, **TOKENS)


def spans_of(template, messages, marked):
    """Where the assistant wrote, in UTF-16 units as JavaScript counts them."""
    units = lambda text: len(text.encode("utf-16-le")) // 2
    if BEGIN in marked:
        spans, position = [], 0
        for piece in marked.replace(END, BEGIN).split(BEGIN):
            spans.append([position, position + units(piece)])
            position += units(piece)
        return spans[1::2]
    spans = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            before = render(template, messages[:index], True)
            after = render(template, messages[: index + 1], False)
            assert marked.startswith(after) and after.startswith(before)
            spans.append([units(before), units(after)])
    return spans


cases = []
for path in sorted((HERE / "templates").glob("*.jinja")):
    template = environment.from_string(path.read_text())
    for name, messages in CONVERSATIONS.items():
        case = {"template": path.name, "name": name, "messages": messages}
        try:
            marked = render(template, messages, False)
            case["text"] = marked.replace(BEGIN, "").replace(END, "")
            case["prompt"] = render(template, messages, True).replace(BEGIN, "").replace(END, "")
            case["spans"] = spans_of(template, messages, marked)
        except Refused as error:
            case["refused"] = str(error)
        cases.append(case)

golden = {"tokens": TOKENS, "jinja2": jinja2.__version__, "cases": cases}
(HERE / "../golden/chat-templates.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
