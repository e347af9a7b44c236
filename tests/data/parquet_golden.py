"""Writes the .parquet files of ../golden/parquet/ with pyarrow, which none of the tests needs.

    pip install pyarrow==25.0.1 && python3 tests/data/parquet_golden.py
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
write("other-columns", {"question": ["a"], "answer": ["b"]})
