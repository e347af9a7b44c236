"""Loss, logits and every gradient of one architecture, by PyTorch autograd in float64.

NAME  a file beside this one that has `logits(weights, config, input_ids, lora)`
IN    metadata  config        JSON with the keys of a Hugging Face config.json
                lora_scaling  number
      tensors   weights as they lie on disk, LAYER.lora_A.weight and LAYER.lora_B.weight,
                input_ids and labels [batch, length] int32 (labels already shifted; -100 is not scored)
OUT   tensors   loss [], logits [batch, length, vocab], grad.NAME for each float tensor; stored as float32
"""

import importlib
import json

import torch
import torch.nn.functional as F
from llama_reference import read_safetensors, write_safetensors


def compare(name, files):
    """files: pairs of IN and OUT."""
    architecture = importlib.import_module(name)
    for source, target in files:
        compute(architecture, source, target)


def compute(architecture, source, target):
    tensors, metadata = read_safetensors(source)
    scaling = float(metadata["lora_scaling"])
    input_ids, labels = tensors.pop("input_ids").long(), tensors.pop("labels").long()
    weights = {name: tensor.double().requires_grad_() for name, tensor in tensors.items()}

    def lora(layer, x):
        a = weights.get(layer + ".lora_A.weight")
        return 0 if a is None else scaling * F.linear(F.linear(x, a), weights[layer + ".lora_B.weight"])

    logits = architecture.logits(weights, json.loads(metadata["config"]), input_ids, lora)
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    loss.backward()
    unused = [name for name, weight in weights.items() if weight.grad is None]
    if unused:
        raise SystemExit(f"{architecture.__name__}: no part of the model uses {', '.join(unused)}; check the names")
    write_safetensors(target, {"loss": loss, "logits": logits, **{f"grad.{name}": w.grad for name, w in weights.items()}})
