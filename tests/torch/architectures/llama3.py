"""LLaMA 1 to 3.3, stretched positions and biases among its options."""

from llama_plan import decoder as logits  # noqa: F401
