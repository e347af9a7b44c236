"""Writes tests/golden/safetensors-layout.json: a small file as the safetensors package writes it.

Run from the root of the repository, with numpy and safetensors installed: python3 scripts/golden/safetensors-layout.py
"""

import json
from pathlib import Path

import numpy
import safetensors
from safetensors.numpy import save

tensors = {
    "z.weight": numpy.array([[1.5, -2.0, 0.25]], dtype=numpy.float32),
    "mask": numpy.array([True, False, True]),
    "codes": numpy.array([7, 255, 0, 1, 2], dtype=numpy.uint8),
    "ids": numpy.array([[-1], [2**31 - 1]], dtype=numpy.int32),
    "a.weight": numpy.array(0.5, dtype=numpy.float32),
    "empty": numpy.zeros((0, 4), dtype=numpy.float32),
    'quote " ä': numpy.array([3], dtype=numpy.uint8),
}
golden = {
    "script": "scripts/golden/safetensors-layout.py",
    "safetensors": safetensors.__version__,
    "file": save(tensors, metadata={"format": "pt"}).hex(),
}
Path("tests/golden/safetensors-layout.json").write_text(json.dumps(golden, indent=2) + "\n")
