"""Mistral (arXiv:2310.06825): every layer sees a window of tokens, if the config has one."""

from llama_plan import decoder, plain_attention


def logits(weights, config, input_ids, lora):
    return decoder(weights, config, input_ids, lora, plain_attention(config, lambda layer: config["sliding_window"]))
