"""Writes tests/golden/rope.json: frequencies and attention factors of rotary positions, by transformers.

python tests/peers/python/rope_golden.py
"""

import json
import os

import torch
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

LLAMA = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "max_position_embeddings": 4096}
PHI3 = {**LLAMA, "model_type": "phi3", "max_position_embeddings": 131072, "original_max_position_embeddings": 4096}
LONG = {"short_factor": [1, 1.05, 1.1, 1.2, 1.5, 2, 2.5, 3], "long_factor": [1, 1.5, 2, 4, 8, 16, 32, 60]}
HALF = {"short_factor": [1, 1.2, 1.4, 1.6], "long_factor": [1, 3, 9, 27]}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}

CASES = [
    {**LLAMA, "rope_theta": 5e5},
    {**LLAMA, "rope_scaling": {"type": "linear", "factor": 8.0}},
    {**LLAMA, "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                                  "high_freq_factor": 4.0, "original_max_position_embeddings": 1024}},
    {**LLAMA, "rope_parameters": {**YARN, "rope_theta": 1e6}},
    {**LLAMA, "rope_parameters": {**YARN, "rope_theta": 1e6, "truncate": False, "beta_fast": 20, "beta_slow": 2}},
    {**LLAMA, "rope_parameters": {**YARN, "rope_theta": 1e4, "mscale": 0.707, "mscale_all_dim": 1.1}},
    {**LLAMA, "rope_parameters": {**YARN, "rope_theta": 1e4, "attention_factor": 1.25}},
    {**LLAMA, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
    {**LLAMA, "rope_parameters": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "factor": 2.0,
                                  "rope_theta": 1e4}},
    {**PHI3, "rope_scaling": {"type": "longrope", **LONG}},
    {**PHI3, "partial_rotary_factor": 0.5, "rope_scaling": {"type": "longrope", **HALF}},
    {**PHI3, "rope_scaling": {"type": "longrope", **LONG, "factor": 16.0}},
]
LENGTHS = [16, 4096, 4097, 20000]


def values():
    cases = []
    for case in CASES:
        config = AutoConfig.for_model(**json.loads(json.dumps(case)))
        kind = Phi3RotaryEmbedding if case["model_type"] == "phi3" else LlamaRotaryEmbedding
        for length in LENGTHS:
            rope = kind(config)
            rope(torch.zeros(1), torch.tensor([[length - 1]]))
            frequencies = [float(value) for value in rope.inv_freq]
            cases.append({"config": case, "length": length, "frequencies": frequencies,
                          "attentionFactor": rope.attention_scaling})
    return cases


if __name__ == "__main__":
    target = os.path.join(os.path.dirname(__file__), "../../golden/rope.json")
    with open(target, "w") as stream:
        rows = ",\n".join(json.dumps(case) for case in values())
        stream.write(f"[\n{rows}\n]\n")
