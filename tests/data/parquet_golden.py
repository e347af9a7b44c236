"""Writes the .parquet files of ../golden/parquet/ with pyarrow, which none of the tests needs.

    pip install pyarrow==26.0.1 && python3 tests/data/parquet_golden.py
"""
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent / "../golden/parquet"
FOLDER.mkdir(exist_ok=True)

MESSAGES = [
    [{"role": "user", "content": f"What is {i} + {i}?"}, {"role": "assistant", "content": f"It is {2 * i}. 🙂"}]
    for i in range(5)
]


def write(name, columns, **options):
    pq.write_table(pa.table(columns), FOLDER / f"{name}.parquet", **options)


write("text-snappy", {"text": [f"document {i}: é🙂" for i in range(5)], "other": list(range(5))}, compression="snappy")
write("text-plain", {"text": ["one", "two", "one"]}, compression="none")
write("messages-snappy", {"messages": MESSAGES, "id": [f"{i}" for i in range(5)]}, compression="snappy", row_group_size=2)
write(
    "instruction-plain",
    {"instruction": ["Add.", "Stop."], "input": ["1 2", None], "output": ["3", "Done."]},
    compression="none",
    data_page_version="2.0",
)
write(
    "rows-snappy",
    {
        "input_ids": pa.array([[1, 2, 3], [4, 5]], pa.list_(pa.int64())),
        "labels": pa.array([[-100, 2, 3], [-100, 5]], pa.list_(pa.int32())),
    },
    compression="snappy",
)
write("text-zstd", {"text": ["compressed another way"] * 3}, compression="zstd")
write("other-columns", {"frage": ["a"], "antwort": ["b"]})

for codec in ["gzip", "brotli", "lz4"]:
    write(f"text-{codec}", {"text": ["compressed another way"] * 3 + ["é🙂" * 40] * 30}, compression=codec, use_dictionary=False)

# One group of rows in many pages each: with and without an index of them, by the older and the newer layout.
PAGES = {
    "text": [None if i % 7 == 3 else f"row {i} " + "é🙂" * (i % 50) for i in range(2000)],
    "id": [i % 13 for i in range(2000)],
}
small = {"data_page_size": 1000, "write_batch_size": 50}
write("pages-headers", PAGES, compression="snappy", **small)
write("pages-second", PAGES, compression="zstd", data_page_version="2.0", use_dictionary=False, **small)
small["use_dictionary"] = False
CHATS = {"messages": [[{"role": "user", "content": f"{i} + {j}?"} for j in range(1 + i % 4)] for i in range(400)]}
write("pages-lists", CHATS, compression="zstd", **small)
write("pages-lists-indexed", CHATS, compression="zstd", write_page_index=True, **small)

# Objects of which each has its own keys, as Arrow joins them, and numbers that JavaScript would change.
write(
    "numbers-zstd",
    {
        "messages": [
            [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": {"id": 9007199254740993}}]},
                {"role": "assistant", "content": "", "tool_calls": [{"name": "g", "arguments": {"x": 20.0, "y": 0.5, "n": 3}}]},
            ]
        ]
    },
    compression="zstd",
)
texts = ['{"role": "user", "content": null, "n": 20.0}', '{"role": "assistant", "content": "a"}']
items = pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts))
write("json-zstd", {"messages": pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), items)}, compression="zstd")
with pa.CompressedOutputStream(str(FOLDER / "text.jsonl.zst"), "zstd") as out:
    out.write('{"text": "one"}\n{"text": "two"}\n'.encode())
