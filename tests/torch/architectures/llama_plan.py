"""What LLaMA (arXiv:2302.13971) and the models built after it share: norms before the blocks, turned heads, a gated MLP."""

import math

import torch
import torch.nn.functional as F
from positions import frequencies, rotate

ACTIVATIONS = {
    "silu": lambda x: x * torch.sigmoid(x),
    "gelu": F.gelu,
    "gelu_pytorch_tanh": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


def rms_norm(x, weight, epsilon):
    return weight * x / torch.sqrt((x * x).mean(-1, keepdim=True) + epsilon)


def turns(config, count):
    """Radians from one position to the next, whichever way the config says them."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    return frequencies(count, scaling.get("rope_theta", config.get("rope_theta", 10000.0)), scaling)


def attend(q, k, v, window=None):
    """[batch, length, heads * head]. q: [batch, heads, length, head]; k and v have fewer heads, each for as many queries."""
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
    length = q.shape[2]
    distance = torch.arange(length)[:, None] - torch.arange(length)[None, :]
    hidden = distance < 0
    if window is not None:
        hidden = hidden | (distance >= window)
    scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(hidden, float("-inf"))
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def sizes(config):
    """Heads, key heads, and features of a head."""
    heads = config["num_attention_heads"]
    groups = config.get("num_key_value_heads") or heads
    return heads, groups, config.get("head_dim") or config["hidden_size"] // heads


def split(x, count):
    """[batch, length, count * head] -> [batch, count, length, head]."""
    return x.view(*x.shape[:2], count, -1).transpose(1, 2)


def decoder(weights, config, input_ids, lora, attention=None, mlp=None):
    """
    [batch, length, vocab]. weights: as on disk; lora(name, x): what the adapter of a layer adds, or 0.
    attention(linear, norm, x, layer) and mlp(linear, x): the blocks, in terms of their own linear layers and norms.
    """

    def linear_of(prefix):
        def linear(name, x):
            return F.linear(x, weights[prefix + name + ".weight"], weights.get(prefix + name + ".bias")) + lora(prefix + name, x)

        return linear

    def norm_of(prefix):
        return lambda name, x: rms_norm(x, weights[prefix + name + ".weight"], config["rms_norm_eps"])

    attention = attention or plain_attention(config)
    mlp = mlp or gated(config)
    x = weights["model.embed_tokens.weight"][input_ids]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        linear, norm = linear_of(prefix + "self_attn."), norm_of(prefix + "self_attn.")
        x = x + attention(linear, norm, norm_of(prefix)("input_layernorm", x), layer)
        x = x + mlp(linear_of(prefix + "mlp."), norm_of(prefix)("post_attention_layernorm", x))
    output = "model.embed_tokens" if config.get("tie_word_embeddings", False) else "lm_head"
    return F.linear(norm_of("model.")("norm", x), weights[output + ".weight"])


def plain_attention(config, window_of=lambda layer: None, prepare=lambda norm, name, x: x):
    """window_of(layer): tokens that a layer sees, or None; prepare(norm, name, x): what happens to queries and keys before they turn."""
    heads, groups, head = sizes(config)
    rope = turns(config, head)

    def attention(linear, norm, x, layer):
        q, k, v = (split(linear(name, x), count) for name, count in [("q_proj", heads), ("k_proj", groups), ("v_proj", groups)])
        q, k = rotate(prepare(norm, "q_norm", q), rope), rotate(prepare(norm, "k_norm", k), rope)
        return linear("o_proj", attend(q, k, v, window_of(layer)))

    return attention


def gated(config):
    activation = ACTIVATIONS[config.get("hidden_act", "silu")]
    return lambda linear, x: linear("down_proj", activation(linear("gate_proj", x)) * linear("up_proj", x))
