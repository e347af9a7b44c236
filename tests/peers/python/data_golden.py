"""Writes tests/golden/trl/: small data files, and beside them what datasets and TRL make of them.

    HF_HUB_OFFLINE=1 PYTHON tests/peers/python/data_golden.py     (PYTHON of the environment of tests/peers)
"""
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from data import card_sides, prepare, sides

FOLDER = Path(__file__).parents[2] / "golden/trl"
ASSISTANT = {"assistant_only_loss": True}

user = lambda text: {"role": "user", "content": text}
assistant = lambda text, **more: {"role": "assistant", "content": text, **more}
call = lambda name, arguments: {"type": "function", "function": {"name": name, "arguments": arguments}}
TOOLS = [{"type": "function", "function": {"name": "weigh", "parameters": {"type": "object", "properties": {"what": {"type": "string"}}}}}]

CHATS = [
    {"messages": [user("Is it wet?"), assistant("It is."), user("And now?"), assistant("No.")], "source": "a"},
    {"messages": [{"role": "system", "content": "Be brief."}, user("Why?"), assistant("Because.")], "source": "b"},
]
TOOL_CHATS = [
    {"messages": [user("Weigh it."), assistant("", tool_calls=[call("weigh", {"what": "a stone"})])], "tools": TOOLS},
    {"messages": [user("Count."), assistant("", tool_calls=[call("count", {"to": 3, "by": 1})])], "tools": TOOLS},
]
ROWS = [
    {"input_ids": [72, 105, 33, 10, 79, 107], "completion_mask": [0, 0, 0, 0, 1, 1], "assistant_masks": [0, 1, 0, 1, 0, 1]},
    {"input_ids": [5, 6, 7, 8], "completion_mask": [0, 1, 1, 1], "assistant_masks": [1, 1, 0, 1]},
]
COMPLETIONS = [
    {
        "prompt": [user("Name a tree.")],
        "completion": [assistant("An oak."), user("Another."), assistant("A birch.")],
        "chat_template_kwargs": {"thinking": False},
    },
    {"prompt": [user("Name a fish.")], "completion": [assistant("A pike.")], "chat_template_kwargs": {"thinking": True}},
]

# name of the file: (content, how TRL is asked)
FILES = {
    "text.jsonl": ([{"text": "A line.\nAnother.", "id": 1}, {"text": "yes yes the the", "id": 2}], {}),
    "text-list.json": (["One text.", "And a second, é."], {}),
    "pairs.jsonl": ([{"prompt": "2 + 2 =", "completion": " 4"}, {"prompt": "Say y", "completion": "es yes"}, {"prompt": "", "completion": "all"}], {}),
    "pairs-list.json": ([{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d<|endoftext|>"}], {}),
    "completions.jsonl": (COMPLETIONS, {}),
    "completions-tools.jsonl": ([{**row, "tools": json.dumps(TOOLS)} for row in COMPLETIONS], {}),
    "messages.jsonl": (CHATS, ASSISTANT),
    "messages-list.json": (CHATS, ASSISTANT),
    "messages-kwargs.jsonl": ([{**row, "chat_template_kwargs": {"thinking": i == 0}} for i, row in enumerate(CHATS)], ASSISTANT),
    "messages-tools.jsonl": (TOOL_CHATS, ASSISTANT),
    "messages-tools-text.jsonl": ([{**row, "tools": json.dumps(row["tools"])} for row in TOOL_CHATS], ASSISTANT),
    "messages-from.jsonl": ([{"conversations": [{"from": m["role"], "value": m["content"]} for m in row["messages"]]} for row in CHATS], ASSISTANT),
    "messages-bom.jsonl": (CHATS, ASSISTANT),
    "rows-labels.jsonl": ([{**row, "labels": [-100, -100, *row["input_ids"][2:]]} for row in ROWS], {}),
    "rows-completion.jsonl": ([{k: v for k, v in row.items() if k != "assistant_masks"} for row in ROWS], {"completion_only_loss": True}),
    "rows-assistant.jsonl": ([{k: v for k, v in row.items() if k != "completion_mask"} for row in ROWS], {}),
    "rows-both.jsonl": (ROWS, {"completion_only_loss": True}),
    "messages.parquet": (CHATS, ASSISTANT),
    "messages-tools.parquet": (TOOL_CHATS, {**ASSISTANT, "remove_none": True}),
    "completions.parquet": (COMPLETIONS, {}),
    "rows-both.parquet": (ROWS, {"completion_only_loss": True}),
}

FOLDERS = [
    ["train.jsonl", "valid.jsonl", "test.jsonl"],
    ["train.jsonl", "dev.jsonl", "eval.jsonl"],
    ["training.jsonl", "val.jsonl", "testing.jsonl"],
    ["my_set_train.jsonl", "my_set_validation.jsonl", "my_set_test.jsonl"],
    ["my-train.jsonl", "my-dev.jsonl"],
    ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl", "validation-00000-of-00001.jsonl"],
    ["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl", "data/test-00000-of-00001.jsonl"],
    ["data/train-00000-of-00001-abc123.jsonl", "data/validation-00000-of-00001.jsonl", "README.md"],
    ["data/train-00000-of-00001.jsonl", "other/validation.jsonl", "train.jsonl"],
    ["train/a.jsonl", "train/b.jsonl", "validation/a.jsonl", "test/a.jsonl"],
    ["data/train/a.jsonl", "data/dev/a.jsonl"],
    ["my_train/a.jsonl", "eval_set/a.jsonl"],
    ["train/test.jsonl", "train/more.jsonl"],
    ["train/a.jsonl", "validation.jsonl"],
    ["train_1.jsonl", "train_2.jsonl", "valid_1.jsonl"],
    ["train0.jsonl", "dev0.jsonl"],
    ["latest.jsonl", "contest.jsonl", "trainer.jsonl"],
    ["a.jsonl", "b.jsonl"],
    ["a.jsonl", "README.md", "dataset_infos.json", "config.json"],
    ["part 1 train.jsonl", "part 1 test.jsonl"],
    ["set.train.jsonl", "set.val.jsonl"],
    ["en/train.jsonl", "fr/train.jsonl", "fr/test.jsonl"],
    ["evaluation.jsonl", "train.jsonl"],
    ["__cache__/train.jsonl", "train.jsonl"],
]

# The front matter of README.md, and the files beside it.
CARDS = [
    ("license: mit\n", ["train.jsonl", "a.jsonl"]),
    (
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n"
        "  - split: test\n    path: data/test-*\n",
        ["data/train-00000-of-00001.jsonl", "data/test-00000-of-00001.jsonl"],
    ),
    (
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: a.jsonl\n"
        "  - split: validation\n    path: [b.jsonl, 'c?.jsonl']\n",
        ["a.jsonl", "b.jsonl", "c1.jsonl", "d.jsonl"],
    ),
    ("configs:\n- config_name: default\n  data_files: more.jsonl\n", ["train.jsonl", "more.jsonl"]),
    ("configs:\n- config_name: default\n  data_files: ['x/*.jsonl', 'part-[0-4].jsonl']\n", ["x/a.jsonl", "x/y/b.jsonl", "part-3.jsonl", "part-7.jsonl"]),
    ("configs:\n- config_name: en\n  default: true\n  data_dir: en\n- config_name: fr\n  data_dir: fr\n", ["en/train.jsonl", "en/test.jsonl", "fr/train.jsonl"]),
    ("configs:\n- config_name: en\n  data_files: en/*.jsonl\n- config_name: fr\n  data_files: fr/*.jsonl\n", ["en/train.jsonl", "fr/train.jsonl"]),
    ("configs:\n- config_name: only\n  data_files: '**/part.jsonl'\n", ["en/part.jsonl", "part.jsonl", "apart.jsonl", "en/x/part.jsonl"]),
]


def write(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        isOdd = "bom" in path.name  # a byte order mark, and lines that end as on Windows
        path.write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n" if isOdd else "\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    samples = {}
    for name, (rows, how) in FILES.items():
        write(FOLDER / name, rows)
        samples[name] = {"how": how, "samples": prepare(str(FOLDER / name), str(FOLDER / "tokenizer"), **how)}
    folders = [{"files": files, "sides": found} for files, found in zip(FOLDERS, sides(FOLDERS))]
    cards = [{"card": c, "files": f, "sides": s} for (c, f), s in zip(CARDS, card_sides(CARDS))]
    lines = lambda items: ",\n".join("  " + item for item in items)
    text = '{"files": {\n' + lines(f"{json.dumps(n)}: {json.dumps(s)}" for n, s in samples.items())
    text += '\n},\n"folders": [\n' + lines(map(json.dumps, folders))
    text += '\n],\n"cards": [\n' + lines(map(json.dumps, cards)) + "\n]}\n"
    (FOLDER / "expected.json").write_text(text)
