"""Writes tests/golden/bitsandbytes-layout.json: quantized weights as bitsandbytes stores them, made with NumPy alone.

Run from the root of the repository, with torch and safetensors installed: python3 scripts/golden/bitsandbytes-layout.py
"""

import json
import math
import random
import struct
from pathlib import Path

import numpy
import safetensors
import torch
from safetensors.torch import save

NF4 = numpy.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    dtype=numpy.float32,
)
# As bitsandbytes writes it: the minus of the second zero is that of an integer.
TWELFTHS = [0, 0.0625, 8, 12, 4, 6, 2, 3, -0, -0.0625, -8, -12, -4, -6, -2, -3]
FP4 = numpy.array(TWELFTHS, dtype=numpy.float32) / numpy.float32(12)


def dynamic_map() -> numpy.ndarray:
    values = [0.0, 1.0]
    for i in range(7):
        magnitudes = [10.0 ** (i - 6) * (0.1 + 0.9 * (2 * k + 1) / 2 ** (i + 1)) for k in range(2**i)]
        values += magnitudes + [-magnitude for magnitude in magnitudes]
    return numpy.array(sorted(values), dtype=numpy.float32)


def nf4_codes(x: numpy.ndarray) -> numpy.ndarray:
    thresholds = (NF4[1:] + NF4[:-1]) / numpy.float32(2)
    return (x[:, None] > thresholds[None, :]).sum(axis=1).astype(numpy.uint8)


def fp4_codes(x: numpy.ndarray) -> numpy.ndarray:
    bounds = [0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333]
    codes = numpy.array([0b000, 0b001, 0b110, 0b111, 0b100, 0b101, 0b010, 0b011], dtype=numpy.uint8)
    above = (numpy.abs(x)[:, None] > numpy.array(bounds, dtype=numpy.float32)[None, :]).sum(axis=1)
    return codes[above] | numpy.where(x < 0, 8, 0).astype(numpy.uint8)


def four_bit(weight: numpy.ndarray, kind: str, blocksize: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Packed codes and absmax."""
    flat = weight.reshape(-1)
    blocks = [flat[start : start + blocksize] for start in range(0, flat.size, blocksize)]
    absmax = numpy.array([numpy.abs(block).max() for block in blocks], dtype=numpy.float32)
    scaled = [block * (numpy.float32(1) / scale) for block, scale in zip(blocks, absmax)]
    encode = nf4_codes if kind == "nf4" else fp4_codes
    codes = encode(numpy.concatenate(scaled))
    if codes.size % 2 == 1:
        codes = numpy.append(codes, encode(numpy.zeros(1, dtype=numpy.float32)))
    return codes[0::2] << 4 | codes[1::2], absmax


def nested(absmax: numpy.ndarray) -> dict:
    offset = numpy.float32(absmax.astype(numpy.float64).mean())
    distance = absmax - offset
    scales = [numpy.abs(distance[start : start + 256]).max() for start in range(0, distance.size, 256)]
    share = distance / numpy.repeat(numpy.array(scales, dtype=numpy.float32), 256)[: distance.size]
    table = dynamic_map()
    codes = numpy.abs(share[:, None].astype(numpy.float64) - table[None, :]).argmin(axis=1).astype(numpy.uint8)
    return {"codes": codes, "absmax": numpy.array(scales, dtype=numpy.float32), "offset": offset, "map": table}


def stored(tensors: dict) -> dict:
    metadata = {"format": "pt"}
    file = save({name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}, metadata=metadata)
    return {
        "tensors": {
            name: {"dtype": str(tensor.dtype), "shape": list(tensor.shape), "bytes": tensor.tobytes().hex()}
            for name, tensor in tensors.items()
        },
        "file": file.hex(),
    }


def four_bit_case(name: str, weight: numpy.ndarray, kind: str, blocksize: int, dtype: str, double: bool) -> dict:
    packed, absmax = four_bit(weight, kind, blocksize)
    state = {"quant_type": kind, "blocksize": blocksize, "dtype": dtype, "shape": list(weight.shape)}
    tensors = {name: packed[:, None], f"{name}.quant_map": NF4 if kind == "nf4" else FP4}
    if double:
        nest = nested(absmax)
        tensors[f"{name}.absmax"] = nest["codes"]
        tensors[f"{name}.nested_absmax"] = nest["absmax"]
        tensors[f"{name}.nested_quant_map"] = nest["map"]
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(nest["offset"])}
    else:
        tensors[f"{name}.absmax"] = absmax
    text = json.dumps(state)
    tensors[f"{name}.quant_state.bitsandbytes__{kind}"] = numpy.frombuffer(text.encode(), dtype=numpy.uint8)
    described = {"name": name, "format": kind, "blockSize": blocksize, "dtype": dtype, "shape": list(weight.shape)}
    return described | {"json": text} | stored(tensors)


def int8_case(name: str, weight: numpy.ndarray) -> dict:
    half = weight.astype(numpy.float16).astype(numpy.float32)
    scales = numpy.abs(half).max(axis=1)
    codes = numpy.rint(half * (numpy.float32(127) / scales[:, None])).astype(numpy.int8)
    layer = name.removesuffix("weight")
    tensors = {name: codes, f"{layer}SCB": scales, f"{layer}weight_format": numpy.zeros((), dtype=numpy.uint8)}
    return {"name": name, "format": "int8", "shape": list(weight.shape)} | stored(tensors)


def python_floats() -> list:
    draw = random.Random(1)
    bits = [draw.getrandbits(31) | draw.getrandbits(1) << 31 for _ in range(200)]
    values = [struct.unpack("<f", struct.pack("<I", b))[0] for b in bits]
    values += [10.0**e for e in range(-12, 25)]
    values += [0.0, -0.0, 1.5, 123456789.0, 9999999999999998.0, 12345.678e12, 2.0**-149]
    return [[struct.pack("<d", value).hex(), json.dumps(value)] for value in values if math.isfinite(value)]


i = numpy.arange(256)
regular = (((37 * i % 101) - 50) / 50 * 0.01 * (1 + i // 64)).astype(numpy.float32).reshape(4, 64)
odd = (((53 * numpy.arange(105) % 89) - 44) / 40).astype(numpy.float32).reshape(7, 15)
LAYER = "model.layers.0.self_attn.q_proj.weight"
golden = {
    "script": "scripts/golden/bitsandbytes-layout.py",
    "numpy": numpy.__version__,
    "torch": torch.__version__,
    "safetensors": safetensors.__version__,
    "cases": [
        four_bit_case(LAYER, regular, "nf4", 64, "float32", double=True),
        four_bit_case(LAYER, regular, "nf4", 64, "bfloat16", double=False),
        four_bit_case("model.layers.0.mlp.up_proj.weight", odd, "fp4", 16, "float16", double=False),
        int8_case(LAYER, odd),
    ],
    "floats": python_floats(),
}
Path("tests/golden/bitsandbytes-layout.json").write_text(json.dumps(golden, indent=1) + "\n")
