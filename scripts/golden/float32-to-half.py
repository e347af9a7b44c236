"""Writes tests/golden/float32-to-half.json: what PyTorch converts float32 values of every class to in 16 bits.

The values are all 65536 upper halves of a float32, each with 48 lower halves that lie on, just above and just below the
ties of either type. Run from the root of the repository, with torch and numpy installed:
python3 scripts/golden/float32-to-half.py
"""

import hashlib
import json
from pathlib import Path

import numpy
import torch

LOWER = [top << 13 | low for top in range(8) for low in (0x0000, 0x0001, 0x0FFF, 0x1000, 0x1001, 0x1FFF)]
SELECTED = [
    0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00008000, 0x00018000, 0x32FFFFFF, 0x33000000, 0x33000001,
    0xB3800000, 0x33C00000, 0x387FDFFF, 0x387FE000, 0x387FF000, 0x38800000, 0x3F800000, 0x3F801000, 0x3F803000,
    0x3F808000, 0x3F818000, 0xBF808001, 0x40490FDB, 0x477FEFFF, 0x7F7F7FFF, 0x7F800000, 0xFF800000, 0x7F800001,
    0x7FC00000, 0xFFC12345,
]


def converted(bits: numpy.ndarray, dtype: torch.dtype) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The 16-bit patterns, every NaN as 0x7fff; and which finite values became infinite."""
    values = torch.from_numpy(bits.view(numpy.float32))
    halves = values.to(dtype)
    patterns = halves.view(torch.int16).numpy().view(numpy.uint16).copy()
    patterns[torch.isnan(halves).numpy()] = 0x7FFF
    overflowed = (torch.isfinite(values) & torch.isinf(halves)).numpy()
    return patterns, overflowed


def sixteen_bit(dtype: torch.dtype) -> dict:
    bits = (numpy.arange(2**16, dtype=numpy.uint32)[:, None] << 16 | numpy.array(LOWER, dtype=numpy.uint32)).reshape(-1)
    patterns, overflowed = converted(bits, dtype)
    if dtype == torch.float16:
        with numpy.errstate(over="ignore", invalid="ignore"):
            others = bits.view(numpy.float32).astype(numpy.float16)
        numbers = patterns != 0x7FFF
        assert (others.view(numpy.uint16)[numbers] == patterns[numbers]).all(), "PyTorch and NumPy must agree"
    refused = bits[overflowed & (bits < 0x80000000)]
    selected = numpy.array(SELECTED, dtype=numpy.uint32)
    chosen, beyond = converted(selected, dtype)
    return {
        "selected": [[f"{s:08x}", f"{h:04x}"] for s, h, far in zip(selected, chosen, beyond) if not far],
        "smallestRefused": f"{refused.min():08x}",
        "refused": int(overflowed.sum()),
        "sha256OfAccepted": hashlib.sha256(patterns[~overflowed].astype("<u2").tobytes()).hexdigest(),
    }


golden = {
    "script": "scripts/golden/float32-to-half.py",
    "torch": torch.__version__,
    "lowerHalves": [f"{low:04x}" for low in LOWER],
    "F16": sixteen_bit(torch.float16),
    "BF16": sixteen_bit(torch.bfloat16),
}
Path("tests/golden/float32-to-half.json").write_text(json.dumps(golden, indent=2) + "\n")
