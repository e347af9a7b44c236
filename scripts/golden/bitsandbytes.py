"""Writes tests/golden/bitsandbytes.json: weights quantized in NumPy by the rules of bitsandbytes' CUDA kernels; and its
dynamic map, built from float32 midpoints in PyTorch as bitsandbytes builds it.

Run from the root of the repository: python3 scripts/golden/bitsandbytes.py
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

f32 = np.float32

NF4 = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    dtype=f32,
)
NF4_THRESHOLDS = np.array(
    [
        -0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544, -0.23460740596055984,
        -0.13791173323988914, -0.045525018125772476, 0.03979014977812767, 0.1202552504837513, 0.2035212516784668,
        0.2920137718319893, 0.3893125355243683, 0.5016634166240692, 0.6427869200706482, 0.8614784181118011,
    ],
    dtype=f32,
)
FP4 = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3], dtype=f32) / f32(12)
FP4 = np.concatenate([FP4, -FP4])
FP4_THRESHOLDS = [
    (0.8333333, 0b011), (0.583333, 0b010), (0.4166667, 0b101), (0.29166667, 0b100), (0.20833333, 0b111),
    (0.0859375, 0b110), (0.00260417, 0b001),
]

INT8_UNIT = f32(7.874015718698502e-3)


def weights(seed: int, count: int) -> np.ndarray:
    """Sums of four uniform numbers from a linear congruential generator, which a test can draw again bit for bit."""
    state = seed
    values = []
    for _ in range(count):
        total = -(2**25)
        for _ in range(4):
            state = (state * 1664525 + 1013904223) % 2**32
            total += state >> 8
        values.append(total * 2.0**-30)
    return np.array(values).astype(f32)


def hex_of(array: np.ndarray) -> str:
    """Little-endian bytes."""
    return np.ascontiguousarray(array).tobytes().hex()


def nf4_code(x: np.float32) -> int:
    return sum(int(x > threshold) for threshold in NF4_THRESHOLDS)


def fp4_code(x: np.float32) -> int:
    sign = 8 if x < 0 else 0
    for threshold, code in FP4_THRESHOLDS:
        if abs(x) > f32(threshold):
            return sign + code
    return sign


def four_bit(kind: str, block_size: int, values: np.ndarray) -> dict:
    code_of, table = (nf4_code, NF4) if kind == "nf4" else (fp4_code, FP4)
    codes, absmax, restored = [], [], []
    for start in range(0, len(values), block_size):
        block = values[start : start + block_size]
        largest = np.abs(block).max()
        inverse = f32(1) / largest
        block_codes = [code_of(x * inverse) for x in block]
        codes += block_codes
        absmax.append(largest)
        restored.append(table[block_codes] * largest)
    if len(codes) % 2 == 1:
        codes.append(code_of(f32(0)))
    packed = np.array([high << 4 | low for high, low in zip(codes[::2], codes[1::2])], dtype=np.uint8)
    return {
        "type": kind,
        "blockSize": block_size,
        "packed": hex_of(packed),
        "absmax": hex_of(np.array(absmax, dtype=f32)),
        "sha256OfDequantized": hashlib.sha256(np.concatenate(restored).astype(f32).tobytes()).hexdigest(),
    }


def neighbours(value: np.float32, count: int) -> list:
    below, above = [], []
    low = high = value
    for _ in range(count):
        low, high = np.nextafter(low, f32(-np.inf)), np.nextafter(high, f32(np.inf))
        below.append(low)
        above.append(high)
    return [*reversed(below), value, *above]


def near_thresholds(kind: str, scale: float) -> np.ndarray:
    """A block whose elements are at or a few float32 steps from the thresholds of its type."""
    largest = f32(scale)
    thresholds = NF4_THRESHOLDS if kind == "nf4" else [f32(t * sign) for t, _ in FP4_THRESHOLDS for sign in (-1, 1)]
    near = [x for threshold in thresholds for x in neighbours(threshold * largest, 3)]
    return np.array([largest, *near, *neighbours(f32(0), 3)], dtype=f32)


def int8(values: np.ndarray, rows: int, columns: int) -> dict:
    half = values.reshape(rows, columns).astype(np.float16).astype(f32)
    scales = np.abs(half).max(axis=1)
    inverse = f32(127) / np.where(scales == 0, f32(1), scales)
    codes = np.rint(half * inverse[:, None]).astype(np.int8)
    restored = codes.astype(f32) * scales[:, None] * INT8_UNIT
    return {
        "rows": rows,
        "columns": columns,
        "codes": hex_of(codes),
        "scales": hex_of(scales),
        "sha256OfDequantized": hashlib.sha256(restored.tobytes()).hexdigest(),
    }


def float16_edges() -> np.ndarray:
    """Near ties between neighbouring float16 numbers: normal and subnormal ones, and the largest."""
    ties = [2.0**e * (1 + (k + 0.5) / 1024) for e in (-14, -7, 0, 15) for k in (0, 1, 511, 512, 1022)]
    ties += [2.0**-24 * (k + 0.5) for k in (0, 1, 2, 511, 1022, 1023)]
    edges = [x for tie in ties for x in neighbours(f32(tie), 1)]
    edges += [f32(65504), np.nextafter(f32(65520), f32(0)), f32(1e-30)]
    return np.array([*edges, *(-x for x in edges)], dtype=f32)


def halves_of_scales() -> np.ndarray:
    """Rows of a float16 scale and its half: 63.5, unless rounding the reciprocal to float32 puts it to either side."""
    scales = (1 + np.arange(0, 1024, 7) / 1024).astype(f32)
    return np.stack([scales, scales / 2, -scales / 2], axis=1)


def every_int8_code() -> dict:
    """Of a scale with more bits than a float16 has."""
    codes = np.arange(-128, 128).astype(np.int8)
    scale = f32(0.7)
    restored = codes.astype(f32) * scale * INT8_UNIT
    return {"scale": float(scale), "sha256OfDequantized": hashlib.sha256(restored.tobytes()).hexdigest()}


def dynamic_map() -> np.ndarray:
    values = []
    for i in range(7):
        edges = torch.linspace(0.1, 1, 2**i + 1, dtype=torch.float32)
        values += ((10 ** (i - 6)) * ((edges[:-1] + edges[1:]) / 2)).tolist()
    return np.array(sorted([*values, *(-x for x in values), 0.0, 1.0])).astype(f32)


MAP = dynamic_map()
MIDPOINTS = ((MAP[:-1] + MAP[1:]) / f32(2)).astype(f32)


def nested(absmax: np.ndarray) -> dict:
    offset = f32(absmax.astype(np.float64).mean())
    distances = absmax - offset
    codes, nested_absmax, restored = [], [], []
    for start in range(0, len(distances), 256):
        block = distances[start : start + 256]
        largest = np.abs(block).max()
        x = (block * (f32(1) / largest)).astype(f32)
        # The lower code of a tie.
        block_codes = np.searchsorted(MIDPOINTS, x, side="left")
        codes.append(block_codes)
        nested_absmax.append(largest)
        restored.append(MAP[block_codes] * largest + offset)
    return {
        "codes": hex_of(np.concatenate(codes).astype(np.uint8)),
        "absmax": hex_of(np.array(nested_absmax, dtype=f32)),
        "offset": hex_of(np.array([offset])),
        "restored": hashlib.sha256(np.concatenate(restored).astype(f32).tobytes()).hexdigest(),
    }


random_four_bit = []
for kind in ("nf4", "fp4"):
    for seed, block_size in enumerate((16, 32, 64, 128, 256, 512, 1024, 2048, 4096), start=1):
        for length in (2 * block_size + 37, block_size // 2):
            case = four_bit(kind, block_size, weights(seed, length))
            random_four_bit.append({"seed": seed, "length": length, **case})

edge_four_bit = []
for kind in ("nf4", "fp4"):
    for scale in (1.0, 0.04371, 70000.0, 3.1e-39):
        values = near_thresholds(kind, scale)
        edge_four_bit.append({"values": hex_of(values), **four_bit(kind, 128, values)})

golden = {
    "script": "scripts/golden/bitsandbytes.py",
    "numpy": np.__version__,
    "torch": torch.__version__,
    "weights": {"seed": 1, "sha256": hashlib.sha256(weights(1, 1000).tobytes()).hexdigest()},
    "randomFourBit": random_four_bit,
    "edgeFourBit": edge_four_bit,
    "randomInt8": [
        {"seed": seed, **int8(weights(seed, rows * columns), rows, columns)}
        for seed, rows, columns in ((11, 1, 1), (12, 5, 77), (13, 64, 3), (14, 3, 1001))
    ],
    "edgeInt8": {"values": hex_of(float16_edges()), **int8(float16_edges(), len(float16_edges()), 1)},
    "tiedInt8": {"values": hex_of(halves_of_scales()), **int8(halves_of_scales(), *halves_of_scales().shape)},
    "everyInt8Code": every_int8_code(),
    "nested": [
        {"seed": seed, "length": length, **nested(np.abs(weights(seed, length)))}
        for seed, length in ((21, 2), (22, 255), (23, 256), (24, 257), (25, 700))
    ],
    "dynamicMap": hex_of(MAP),
}
Path("tests/golden/bitsandbytes.json").write_text(json.dumps(golden, indent=1) + "\n")
