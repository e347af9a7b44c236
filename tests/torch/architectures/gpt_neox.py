"""GPT-NeoX and Pythia, from Black et al. 2022 (arXiv:2204.06745) and the layout of the published weights."""

import math

import torch
import torch.nn.functional as F
from positions import frequencies, rotate

ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu_fast": lambda x: 0.5 * x * (1 + torch.tanh(x * 0.7978845608028654 * (1 + 0.044715 * x * x))),
}


def logits(weights, config, input_ids, lora):
    """[batch, length, vocab]. weights: as on disk; lora(name, x): what the adapter of a layer adds, or 0."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    head = width // heads
    turns = frequencies(int(head * config["rotary_pct"]), config["rotary_emb_base"], config.get("rope_scaling"))
    batch, length = input_ids.shape

    def linear(name, x):
        return F.linear(x, weights[name + ".weight"], weights.get(name + ".bias")) + lora(name, x)

    def norm(name, x):
        return F.layer_norm(x, (width,), weights[name + ".weight"], weights[name + ".bias"], config["layer_norm_eps"])

    def attention(prefix, x):
        # Each head has its query, key and value side by side.
        qkv = linear(prefix + "query_key_value", x).view(batch, length, heads, 3, head).permute(3, 0, 2, 1, 4)
        q, k, v = rotate(qkv[0], turns), rotate(qkv[1], turns), qkv[2]
        scores = (q @ k.transpose(-1, -2) / math.sqrt(head)).masked_fill(future, float("-inf"))
        return linear(prefix + "dense", (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width))

    def mlp(prefix, x):
        activation = ACTIVATIONS[config["hidden_act"]]
        return linear(prefix + "dense_4h_to_h", activation(linear(prefix + "dense_h_to_4h", x)))

    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    x = weights["gpt_neox.embed_in.weight"][input_ids]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"gpt_neox.layers.{layer}."
        attended = attention(prefix + "attention.", norm(prefix + "input_layernorm", x))
        if config["use_parallel_residual"]:
            x = x + attended + mlp(prefix + "mlp.", norm(prefix + "post_attention_layernorm", x))
        else:
            x = x + attended
            x = x + mlp(prefix + "mlp.", norm(prefix + "post_attention_layernorm", x))
    output = "gpt_neox.embed_in" if config.get("tie_word_embeddings", False) else "embed_out"
    return F.linear(norm("gpt_neox.final_layer_norm", x), weights[output + ".weight"])
