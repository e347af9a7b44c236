"""Writes tests/golden/ggml-blocks.json: blocks as ggml itself makes them of numbers of many kinds.

Run from the root of the repository, with numpy and with node-llama-cpp in tests/llama-cpp, on x64:
python3 scripts/golden/ggml-blocks.py
"""

import ctypes
import json
from pathlib import Path

import numpy

NUMBERS = {"Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14}
PACKAGES = Path("tests/llama-cpp/node_modules")
ggml = ctypes.CDLL(str(next(PACKAGES.glob("@node-llama-cpp/*/bins/*/libggml-base.so"))))
ggml.ggml_row_size.restype = ctypes.c_size_t
ggml.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]
random = numpy.random.default_rng(9)


def normals() -> numpy.ndarray:
    return random.normal(size=256)


def spread(*values: float) -> numpy.ndarray:
    """Groups of 32 of several sizes."""
    return normals() * numpy.resize(values, 8).repeat(32)


def single(place: int, value: float) -> numpy.ndarray:
    return numpy.where(numpy.arange(256) == place, value, 0)


def sources() -> numpy.ndarray:
    rows = [normals() * 0.02, normals() * 0.05, numpy.zeros(256), abs(normals()), -abs(normals()), normals() + 4]
    rows += [single(77, -3), single(5, 2.5), spread(1, 1e-5, 0, 1, 300, 1, 1, 1), spread(*10.0 ** numpy.arange(-7, 1))]
    rows += [numpy.full(256, 0.7), numpy.full(256, -0.7), normals() * 1e-9, normals() * 1e-16, normals() * 3000]
    rows += [numpy.round(normals() * 2), (numpy.arange(256) - 128) / 16, numpy.sign(normals()), normals() ** 9]
    return numpy.array(rows, dtype=numpy.float32)


def made(number: int, rows: numpy.ndarray) -> str:
    out = numpy.zeros(len(rows) * ggml.ggml_row_size(number, 256), dtype=numpy.uint8)
    written = ggml.ggml_quantize_chunk(number, rows.ctypes.data, out.ctypes.data, 0, *rows.shape, None)
    assert written == out.size
    return out.tobytes().hex()


rows = sources()
release = json.loads((PACKAGES / "node-llama-cpp/package.json").read_text())["version"]
golden = {
    "versions": {"node-llama-cpp": release, "numpy": numpy.__version__},
    "source": rows.tobytes().hex(),
    "quantized": {name: made(number, rows) for name, number in NUMBERS.items()},
}
Path("tests/golden/ggml-blocks.json").write_text(json.dumps(golden, indent=1) + "\n")
