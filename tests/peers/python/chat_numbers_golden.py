"""Writes ../../golden/chat-numbers.json: numbers of tools and of their arguments as templates of transformers print them.

    HF_HUB_OFFLINE=1 python tests/peers/python/chat_numbers_golden.py

Each record is a line of a data set, as text: its digits are what is at stake.
"""
import json
from pathlib import Path

import transformers

from chats import TOKENS, render

TEMPLATE = """\
{% if tools %}{% for t in tools %}{{ t | tojson }}
{{ t | tojson(indent=2) }}
{% endfor %}{% endif %}
{%- for m in messages %}{{ m.role }}:{{ m.content }}
{%- for call in m.tool_calls or [] %}
{{ call.function.arguments | tojson }}|{{ call.function.arguments }}
{%- if call.function.arguments is mapping %}
{%- for key, value in call.function.arguments.items() %}|{{ key }}={{ value }}{% endfor %}{% endif %}{% endfor %}{{ eos_token }}
{% endfor %}"""

ARGUMENTS = [
    '{"id": 9007199254740993}',
    '{"id": -9007199254740993, "next": 9007199254740992}',
    '{"id": 2512292042121000001, "large": 123456789012345678901234567890123}',
    '{"ids": [9007199254740993, [18446744073709551615, {"of": 9223372036854775807}]], "more": {"deep": {"id": 10000000000000001}}}',
    '{"x": 20.0, "y": 1e22, "z": 1e16, "w": 1e15, "v": 123456789012345680.0}',
    '{"x": 1E5, "y": 1e-7, "z": -0.0, "w": 0.1, "v": 1.50, "u": 5e-324, "t": 1.7976931348623157e308}',
    '{"nested": [[20.0, 3], {"a": [1e22, {"b": -2.0}]}], "int": 20, "zero": 0, "minus": -0}',
    '{"mixed": [9007199254740993, 9007199254740993.0, "9007199254740993", true, null]}',
    '"{\\"id\\": 9007199254740993, \\"x\\": 20.0}"',
]

TOOL = (
    '{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": '
    '{"id": {"type": "integer", "minimum": 9007199254740993, "maximum": 1e22, "default": 20.0}}}}}'
)


def main():
    records = [
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "", "tool_calls": '
        f'[{{"type": "function", "function": {{"name": "f", "arguments": {arguments}}}}}]}}]}}'
        for arguments in ARGUMENTS
    ]
    records.append(f'{{"tools": [{TOOL}], "messages": [{{"role": "user", "content": "q"}}]}}')
    cases = [{"record": record, "text": render(TEMPLATE, json.loads(record))["text"]} for record in records]
    golden = {"transformers": transformers.__version__, "template": TEMPLATE, "tokens": TOKENS, "cases": cases}
    path = Path(__file__).parent / "../../golden/chat-numbers.json"
    path.write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n")


main()
