"""Models that bitsandbytes quantizes, on the CPU."""

import json
import os

import bitsandbytes.functional as functional
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM


def tiny(out, tied, dtype="float32"):
    """A small Llama with random weights. Rows are multiples of a block, which bitsandbytes needs on CPUs."""
    torch.manual_seed(17)
    config = LlamaConfig(
        vocab_size=96, hidden_size=64, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=tied, initializer_range=0.2,
    )
    LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(out)


def write(model, out, options, dtype="float32", shard="50GB"):
    """Quantizes a float model while it is loaded, and saves it."""
    load(model, dtype, BitsAndBytesConfig(**options)).save_pretrained(out, max_shard_size=shard)


def load(model, dtype="float32", quantization=None):
    quantized = {} if quantization is None else {"quantization_config": quantization}
    return AutoModelForCausalLM.from_pretrained(
        model, device_map={"": "cpu"}, dtype=getattr(torch, dtype), **quantized
    )


def logits(model, rows, out, dequantize=False):
    """
    Logits of rows of tokens, in float32. In evaluation a CPU multiplies 4-bit weights in bfloat16, in training it
    multiplies with the dequantized weight.
    """
    loaded = load(model)
    if dequantize:
        loaded = loaded.dequantize().float()
    loaded.train()
    with torch.no_grad():
        found = loaded(torch.tensor(rows)).logits.float().contiguous()
    save_file({"logits": found}, out)
    labels = torch.tensor(rows)[:, 1:]
    return torch.nn.functional.cross_entropy(found[:, :-1].reshape(-1, found.shape[-1]), labels.reshape(-1)).item()


def tokens(model, text, length, count):
    """The first tokens of a text as rows."""
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(model)(text, add_special_tokens=False)["input_ids"]
    return [ids[row * length : (row + 1) * length] for row in range(count)]


def compare(ours, theirs):
    """
    Tensors of two folders that differ, by the last part of their names: how many there are, how many of them differ,
    and of how many elements how many do. Codes of scales are compared with those of the exact search, too.
    """
    first, second = tensors_of(ours), tensors_of(theirs)
    found = {"missing": sorted(set(first) ^ set(second)), "kinds": {}}
    kinds = found["kinds"]
    for name in sorted(set(first) & set(second)):
        a, b = first[name], second[name]
        if f"{name}.quant_state.bitsandbytes__fp4" in first:
            a, b = without_negative_zero(a), without_negative_zero(b)
        last = name.rsplit(".", 1)[-1]
        nested = last == "absmax" and a.dtype == torch.uint8
        kind = kinds.setdefault(
            "nested codes" if nested else last, {"tensors": 0, "different": 0, "elements": 0, "apart": 0, "most": 0.0}
        )
        if "quant_state" in name:
            kind["tensors"] += 1
            states = [json.loads(bytes(each.tolist())) for each in (a, b)]
            offsets = [state.pop("nested_offset", 0) for state in states]
            kind["different"] += states[0] != states[1]
            kind["most"] = max(kind["most"], abs(offsets[0] - offsets[1]) / (abs(offsets[1]) or 1))
            continue
        distance = (a.double() - b.double()).abs()
        kind["tensors"] += 1
        kind["elements"] += a.numel()
        kind["different"] += bool(a.dtype != b.dtype or a.shape != b.shape or distance.any())
        kind["apart"] += int((distance > 0).sum())
        kind["most"] = max(kind["most"], distance.max().item())
    return found


def without_negative_zero(packed):
    """FP4 has two codes for zero, 0 and 8. The CPU gives small numbers the one of the other sign, GPUs their own."""
    high, low = packed >> 4, packed & 15
    high, low = (torch.where(each == 8, torch.zeros_like(each), each) for each in (high, low))
    return (high << 4) | low


def tensors_of(folder):
    found = {}
    for name in os.listdir(folder):
        if name.endswith(".safetensors"):
            found.update(load_file(os.path.join(folder, name)))
    return found


def nested_codes(scales, offset):
    """
    Codes of scales by the search that every backend but the CPU's kernel makes, and by that kernel, which looks them
    up in a table of 65,536 entries: how many there are, and how many of either are those given.
    """
    with safe_open(scales, "pt") as file:
        absmax, given = file.get_tensor("absmax"), file.get_tensor("codes")
    distances = absmax - offset
    table = functional.create_dynamic_map()
    search = torch._C.DispatchKeySet(torch._C.DispatchKey.CompositeExplicitAutograd)
    quantize = torch.ops.bitsandbytes.quantize_blockwise.default
    exact, _ = quantize.redispatch(search, distances, table, 256)
    looked_up, _ = quantize(distances, table, 256)
    return {
        "codes": given.numel(),
        "exact": int((exact == given).sum()),
        "lookedUp": int((looked_up == given).sum()),
    }
