"""Writes tests/golden/safetensors-half-layout.json: a small file with 16-bit types as the safetensors package writes it.

Run from the root of the repository, with torch and safetensors installed:
python3 scripts/golden/safetensors-half-layout.py
"""

import json
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save

tensors = {
    "half": torch.tensor([1.0, -2.5, 65504.0], dtype=torch.float16),
    "brain": torch.tensor([1.0, -2.5, 65504.0], dtype=torch.bfloat16),
    "codes": torch.tensor([7], dtype=torch.uint8),
    "signed": torch.tensor([-128, 127], dtype=torch.int8),
    "whole": torch.tensor([0.1], dtype=torch.float32),
    "ids": torch.tensor([-5], dtype=torch.int32),
}
golden = {
    "script": "scripts/golden/safetensors-half-layout.py",
    "torch": torch.__version__,
    "safetensors": safetensors.__version__,
    "file": save(tensors, metadata={"format": "pt"}).hex(),
}
Path("tests/golden/safetensors-half-layout.json").write_text(json.dumps(golden, indent=2) + "\n")
