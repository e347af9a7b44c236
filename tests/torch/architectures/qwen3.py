"""Qwen 3 (arXiv:2505.09388): as Qwen 2, and each head of queries and keys is normed before it turns."""

from llama_plan import decoder, plain_attention
from qwen2 import window_of


def logits(weights, config, input_ids, lora):
    attention = plain_attention(config, window_of(config), lambda norm, name, x: norm(name, x))
    return decoder(weights, config, input_ids, lora, attention)
