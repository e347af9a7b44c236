"""Writes tests/golden/gguf-files.json: blocks of each tensor type as gguf-py reads and makes them, and a small file.

Run from the root of the repository, with numpy and gguf installed: python3 scripts/golden/gguf-files.py
"""

import importlib.metadata
import json
import tempfile
from pathlib import Path

import gguf
import numpy
from gguf import GGMLQuantizationType, GGUFWriter

# Places of the float16 numbers in a block.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
SCALES = [0.013, -0.5, 6e-8, 65504.0, 0.0, -0.0, 1.7]
MADE = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16"]
random = numpy.random.default_rng(7)


def random_blocks(name: str, count: int) -> numpy.ndarray:
    """Blocks of random codes whose scales are numbers of every kind."""
    size = gguf.GGML_QUANT_SIZES[GGMLQuantizationType[name]][1]
    blocks = random.integers(0, 256, (count, size), dtype=numpy.uint8)
    for number, block in enumerate(blocks):
        for place in HALVES[name]:
            scale = SCALES[(number + place) % len(SCALES)]
            block[place : place + 2] = numpy.array([scale], dtype=numpy.float16).view(numpy.uint8)
    return blocks


def sources() -> numpy.ndarray:
    """Numbers to quantize: blocks of several spreads, of one sign, of zeros, of equal numbers, and with halves."""
    spreads = [random.normal(0, spread, 32) for spread in (1, 0.02, 1e-4, 300)]
    others = [abs(spreads[0]), -abs(spreads[1]), numpy.zeros(32), numpy.full(32, 0.75), numpy.arange(32) * 0.5 - 8]
    return numpy.array(spreads + others, dtype=numpy.float32)


given = sources()


def widened(name: str) -> dict:
    blocks = random_blocks(name, 7 if name.startswith(("Q4_", "Q5_", "Q8_0", "IQ")) and not name.endswith("K") else 2)
    return {"bytes": blocks.tobytes().hex(), "values": gguf.dequantize(blocks, GGMLQuantizationType[name]).tobytes().hex()}


def small_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.gguf"
        writer = GGUFWriter(path, "llama")
        writer.add_uint32("a.uint32", 2**32 - 1)
        writer.add_int8("a.int8", -3)
        writer.add_uint64("a.uint64", 2**53 + 1)
        writer.add_float32("a.float32", 0.1)
        writer.add_float64("a.float64", 0.1)
        writer.add_bool("a.bool", True)
        writer.add_string("a.string", "wörter 😀")
        writer.add_array("a.strings", ["a", "", "é"])
        writer.add_array("a.numbers", [1, -2, 3])
        # Dimensions of tensors that are no multiples of the alignment.
        writer.add_tensor("matrix", numpy.arange(6, dtype=numpy.float32).reshape(2, 3))
        writer.add_tensor("halves", numpy.array([1.5, -2.0, 65504.0], dtype=numpy.float16))
        blocks = gguf.quantize(given[:2].reshape(1, 64), GGMLQuantizationType.Q8_0)
        writer.add_tensor("blocks", blocks, raw_dtype=GGMLQuantizationType.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


golden = {
    "script": "scripts/golden/gguf-files.py",
    "gguf": importlib.metadata.version("gguf"),
    "widened": {name: widened(name) for name in HALVES},
    "source": given.tobytes().hex(),
    "quantized": {name: gguf.quantize(given, GGMLQuantizationType[name]).tobytes().hex() for name in MADE},
    "file": small_file().hex(),
}
Path("tests/golden/gguf-files.json").write_text(json.dumps(golden, indent=2) + "\n")
