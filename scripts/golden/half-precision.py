"""Writes tests/golden/half-precision.json: float16, bfloat16, float64 and int64 values and what PyTorch converts them to.

Run from the root of the repository: python3 scripts/golden/half-precision.py
"""

import hashlib
import json
import struct
from pathlib import Path

import torch

SELECTED = [
    0x0000, 0x8000, 0x0001, 0x8001, 0x0002, 0x0200, 0x03FF, 0x83FF, 0x0400, 0x0401, 0x3555, 0x3C00, 0x3C01, 0xBC00,
    0x3F80, 0x4248, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x007F, 0x0080, 0x7F7F, 0x7F80, 0xFF80, 0x4049, 0xC2F7,
]


def converted(dtype: torch.dtype) -> list[int]:
    """The float32 bit patterns of all 65536 patterns of a 16-bit type, every NaN as 0x7fc00000."""
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).roll(2**15)
    values = every.view(dtype).to(torch.float32)
    bits = values.view(torch.int32).to(torch.int64) & 0xFFFFFFFF
    bits[torch.isnan(values)] = 0x7FC00000
    return bits.tolist()


def sixteen_bit(dtype: torch.dtype) -> dict:
    every = converted(dtype)
    return {
        "selected": [[f"{half:04x}", f"{every[half]:08x}"] for half in SELECTED],
        "sha256OfAll": hashlib.sha256(struct.pack("<65536I", *every)).hexdigest(),
    }


doubles = torch.tensor([0.1, -1 / 3, 1e-45, 1e-46, 3.4028234663852886e38, 16777217.0, float("inf")], dtype=torch.float64)
golden = {
    "script": "scripts/golden/half-precision.py",
    "torch": torch.__version__,
    "F16": sixteen_bit(torch.float16),
    "BF16": sixteen_bit(torch.bfloat16),
    "F64": {
        "bytes": doubles.numpy().tobytes().hex(),
        "float32Bits": [f"{bits & 0xFFFFFFFF:08x}" for bits in doubles.to(torch.float32).view(torch.int32).tolist()],
    },
}
Path("tests/golden/half-precision.json").write_text(json.dumps(golden, indent=2) + "\n")
