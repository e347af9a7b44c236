"""Writes tests/golden/quantization-config.json: the quantization_config that transformers writes into config.json.

Run from the root of the repository, with torch and transformers installed:
python3 scripts/golden/quantization-config.py
"""

import json
from pathlib import Path

import transformers
from transformers import BitsAndBytesConfig


def written(**settings) -> str:
    """The text as it stands in a config.json, where transformers sorts keys and indents by 2."""
    config = BitsAndBytesConfig(**settings).to_dict()
    assert BitsAndBytesConfig.from_dict(json.loads(json.dumps(config))).to_dict() == config
    return json.dumps({"quantization_config": config}, indent=2, sort_keys=True) + "\n"


golden = {
    "script": "scripts/golden/quantization-config.py",
    "transformers": transformers.__version__,
    "nf4": written(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype="bfloat16",
    ),
    "fp4": written(load_in_4bit=True, bnb_4bit_compute_dtype="float16", llm_int8_skip_modules=["lm_head", "mlp"]),
    "int8": written(load_in_8bit=True),
}
Path("tests/golden/quantization-config.json").write_text(json.dumps(golden, indent=2) + "\n")
