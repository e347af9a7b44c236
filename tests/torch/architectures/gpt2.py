"""GPT-2, from Radford et al. 2019 and the layout of its published weights: linear layers are (in, out)."""

import math

import torch
import torch.nn.functional as F

ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": F.silu,
}


def logits(weights, config, input_ids, lora):
    """[batch, length, vocab]. weights: as on disk; lora(name, x): what the adapter of a layer adds, or 0."""
    width, heads = config["n_embd"], config["n_head"]
    batch, length = input_ids.shape

    def conv(name, x):
        return x @ weights[name + ".weight"] + weights[name + ".bias"] + lora(name, x)

    def norm(name, x):
        return F.layer_norm(x, (width,), weights[name + ".weight"], weights[name + ".bias"], config["layer_norm_epsilon"])

    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    x = weights["transformer.wte.weight"][input_ids] + weights["transformer.wpe.weight"][:length]
    for layer in range(config["n_layer"]):
        prefix = f"transformer.h.{layer}."
        parts = conv(prefix + "attn.c_attn", norm(prefix + "ln_1", x)).split(width, dim=-1)
        q, k, v = (part.view(batch, length, heads, width // heads).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(-1, -2)
        if config.get("scale_attn_weights", True):
            scores = scores / math.sqrt(width // heads)
        if config.get("scale_attn_by_inverse_layer_idx", False):
            scores = scores / (layer + 1)
        mixed = scores.masked_fill(future, float("-inf")).softmax(-1) @ v
        x = x + conv(prefix + "attn.c_proj", mixed.transpose(1, 2).reshape(batch, length, width))
        inner = ACTIVATIONS[config["activation_function"]](conv(prefix + "mlp.c_fc", norm(prefix + "ln_2", x)))
        x = x + conv(prefix + "mlp.c_proj", inner)
    head = "transformer.wte" if config.get("tie_word_embeddings", True) else "lm_head"
    return F.linear(norm("transformer.ln_f", x), weights[head + ".weight"])
