"""Qwen 2 (arXiv:2407.10671): biases come with the weights; some layers may see a window of tokens."""

from llama_plan import decoder, plain_attention


def window_of(config):
    def window(layer):
        if not config.get("use_sliding_window", False):
            return None
        names = config.get("layer_types")
        slides = layer >= config["max_window_layers"] if names is None else names[layer] == "sliding_attention"
        return config["sliding_window"] if slides else None

    return window


def logits(weights, config, input_ids, lora):
    return decoder(weights, config, input_ids, lora, plain_attention(config, window_of(config)))
