"""Gemma 3's text model, from the Gemma 3 report (arXiv:2503.19786) and, for soft-capping, Gemma 2's (arXiv:2408.00118)."""

import math

import torch
import torch.nn.functional as F
from positions import frequencies, rotate


def rms_norm(x, weight, epsilon):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * (1 + weight)


def capped(x, cap):
    return x if cap is None else cap * torch.tanh(x / cap)


def is_local(config, layer):
    if config.get("layer_types") is not None:
        return config["layer_types"][layer] == "sliding_attention"
    return (layer + 1) % config["sliding_window_pattern"] != 0


def logits(weights, config, input_ids, lora):
    """[batch, length, vocab]. weights: as on disk; lora(name, x): what the adapter of a layer adds, or 0."""
    width, head = config["hidden_size"], config["head_dim"]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    epsilon = config["rms_norm_eps"]
    batch, length = input_ids.shape
    distance = torch.arange(length)[:, None] - torch.arange(length)[None, :]

    def linear(name, x):
        return F.linear(x, weights[name + ".weight"], weights.get(name + ".bias")) + lora(name, x)

    def norm(name, x):
        return rms_norm(x, weights[name + ".weight"], epsilon)

    def attention(prefix, x, local):
        def project(name, count):
            return linear(prefix + name, x).view(batch, length, count, head).transpose(1, 2)

        rope = (config["rope_local_base_freq"],) if local else (config["rope_theta"], config.get("rope_scaling"))
        turns = frequencies(head, *rope)
        q = rotate(norm(prefix + "q_norm", project("q_proj", heads)), turns)
        k = rotate(norm(prefix + "k_norm", project("k_proj", groups)), turns)
        k, v = (t.repeat_interleave(heads // groups, dim=1) for t in (k, project("v_proj", groups)))
        scores = q @ k.transpose(-1, -2) / math.sqrt(config["query_pre_attn_scalar"])
        hidden = (distance < 0) | (distance >= config["sliding_window"]) if local else distance < 0
        mixed = scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v
        return linear(prefix + "o_proj", mixed.transpose(1, 2).reshape(batch, length, heads * head))

    def mlp(prefix, x):
        gate = linear(prefix + "gate_proj", x)
        gate = 0.5 * gate * (1 + torch.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
        return linear(prefix + "down_proj", gate * linear(prefix + "up_proj", x))

    x = weights["model.embed_tokens.weight"][input_ids] * math.sqrt(width)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        attended = attention(prefix + "self_attn.", norm(prefix + "input_layernorm", x), is_local(config, layer))
        x = x + norm(prefix + "post_attention_layernorm", attended)
        inner = mlp(prefix + "mlp.", norm(prefix + "pre_feedforward_layernorm", x))
        x = x + norm(prefix + "post_feedforward_layernorm", inner)
    output = "model.embed_tokens" if config.get("tie_word_embeddings", True) else "lm_head"
    return capped(F.linear(norm("model.norm", x), weights[output + ".weight"]), config.get("final_logit_softcapping"))
