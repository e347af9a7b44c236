"""LLaMA in plain PyTorch, written from the published architecture and shared by the reference and the benchmark.

Weights are a flat dict of Hugging Face names to tensors of layout [out, in]. A linear is adapted when the dict has
NAME.lora_A.weight [rank, in] and NAME.lora_B.weight [out, rank] beside NAME.weight.
"""

import torch
import torch.nn.functional as F

ATTENTION_LINEARS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
MLP_LINEARS = ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


def rotary_tables(config, length, dtype):
    """cos and sin of shape [length, headDim], each frequency twice (half-split layout)."""
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
    frequencies = config.get("rope_theta", 10000.0) ** -exponents
    angles = torch.arange(length, dtype=torch.float64)[:, None] * frequencies[None, :]
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps) * weight


def linear(weights, name, x, lora_scaling):
    y = F.linear(x, weights[name + ".weight"])
    lora_a = weights.get(name + ".lora_A.weight")
    if lora_a is None:
        return y
    return y + lora_scaling * F.linear(F.linear(x, lora_a), weights[name + ".lora_B.weight"])


def attention(weights, prefix, x, config, tables, future, lora_scaling):
    batch, length, hidden = x.shape
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    head_dim = hidden // heads

    def project(name, count):
        y = linear(weights, prefix + name, x, lora_scaling)
        return y.view(batch, length, count, head_dim).transpose(1, 2)

    q = rotate(project("self_attn.q_proj", heads), *tables)
    k = rotate(project("self_attn.k_proj", kv_heads), *tables)
    v = project("self_attn.v_proj", kv_heads)
    if kv_heads != heads:
        k = k.repeat_interleave(heads // kv_heads, dim=1)
        v = v.repeat_interleave(heads // kv_heads, dim=1)
    scores = (q @ k.transpose(-1, -2)) * head_dim**-0.5
    probabilities = scores.masked_fill(future, float("-inf")).softmax(dim=-1)
    mixed = (probabilities @ v).transpose(1, 2).reshape(batch, length, hidden)
    return linear(weights, prefix + "self_attn.o_proj", mixed, lora_scaling)


def mlp(weights, prefix, x, lora_scaling):
    gate = F.silu(linear(weights, prefix + "mlp.gate_proj", x, lora_scaling))
    up = linear(weights, prefix + "mlp.up_proj", x, lora_scaling)
    return linear(weights, prefix + "mlp.down_proj", gate * up, lora_scaling)


def llama_logits(weights, config, input_ids, lora_scaling, tables=None):
    """Logits [batch, length, vocab] of input_ids [batch, length]."""
    eps = config.get("rms_norm_eps", 1e-6)
    length = input_ids.shape[1]
    x = F.embedding(input_ids, weights["model.embed_tokens.weight"])
    tables = tables or rotary_tables(config, length, x.dtype)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        normed = rms_norm(x, weights[prefix + "input_layernorm.weight"], eps)
        x = x + attention(weights, prefix, normed, config, tables, future, lora_scaling)
        normed = rms_norm(x, weights[prefix + "post_attention_layernorm.weight"], eps)
        x = x + mlp(weights, prefix, normed, lora_scaling)
    x = rms_norm(x, weights["model.norm.weight"], eps)
    head = "model.embed_tokens" if config.get("tie_word_embeddings") else "lm_head"
    return linear(weights, head, x, lora_scaling)


def llama_loss(logits, labels):
    """Mean cross-entropy over the positions whose label is not -100; labels are already shifted."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
