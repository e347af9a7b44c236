"""Writes ../../golden/transformers4.json: folders as transformers 4 writes them, and what it computes with them.

    uv run --no-project --with 'transformers==4.57.*' --with torch python tests/peers/python/transformers4_golden.py

Weights are left out: the values of a file's tensors, in the order of their names, are given by `fill`.
"""
import json
import os
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

SMALL = {
    **{"vocab_size": 29, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"num_key_value_heads": 1, "max_position_embeddings": 32, "pad_token_id": None, "bos_token_id": 1, "eos_token_id": 2},
}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
FACTORS = {"short_factor": [1.0, 1.1, 1.3, 1.6], "long_factor": [1.5, 2.0, 4.0, 8.0]}
CASES = {
    "llama": ("llama", {**SMALL, "rope_theta": 700.0}),
    "llama, linear by the older key": ("llama", {**SMALL, "rope_scaling": {"type": "linear", "factor": 3.0}}),
    "llama 3.1": ("llama", {**SMALL, "rope_theta": 700.0, "rope_scaling": {**LLAMA3, "original_max_position_embeddings": 30}}),
    "llama, dynamic": ("llama", {**SMALL, "max_position_embeddings": 8, "rope_scaling": {"rope_type": "dynamic", "factor": 3.0}}),
    "llama, tied, biases": ("llama", {**SMALL, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("mistral", {**SMALL, "sliding_window": 5}),
    "qwen2, yarn": (
        "qwen2",
        {**SMALL, "rope_theta": 700.0, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8}},
    ),
    "qwen3": ("qwen3", {**SMALL, "head_dim": 8, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    "phi3, longrope": (
        "phi3",
        {**SMALL, "rope_theta": 700.0, "original_max_position_embeddings": 8, "rope_scaling": {"type": "longrope", **FACTORS}},
    ),
    "gemma3_text": (
        "gemma3_text",
        {**SMALL, "head_dim": 8, "sliding_window": 5, "rope_theta": 900.0, "rope_local_base_freq": 50.0,
         "layer_types": ["sliding_attention", "full_attention"], "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    ),
    "gpt2": ("gpt2", {"vocab_size": 29, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}),
    "gpt_neox": ("gpt_neox", {**SMALL, "num_key_value_heads": None, "rotary_pct": 0.5, "rotary_emb_base": 500}),
}
ROWS = [[(7 * i * i + 3 * i + 11 * row + 1) % 29 for i in range(16)] for row in range(2)]


def fill(number, size):
    """Values of the tensor of this number."""
    return [((37 * i + 11 * number) % 101 - 50) / 125 for i in range(size)]


def model_case(model_type, config):
    with tempfile.TemporaryDirectory() as folder:
        given = {key: value for key, value in config.items() if value is not None or key == "pad_token_id"}
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **given), attn_implementation="eager")
        model.save_pretrained(folder)
        path = os.path.join(folder, "model.safetensors")
        shapes = {name: list(tensor.shape) for name, tensor in sorted(load_file(path).items())}
        tensors = {
            name: torch.tensor(fill(number, torch.Size(shape).numel()), dtype=torch.float64).float().reshape(shape)
            for number, (name, shape) in enumerate(shapes.items())
        }
        save_file(tensors, path, metadata={"format": "pt"})
        read = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
        ids = torch.tensor(ROWS)
        with torch.no_grad():
            loss = read(ids, labels=ids).loss.item()
        files = {name: Path(folder, name).read_text() for name in ("config.json", "generation_config.json")}
    return {"files": files, "shapes": shapes, "loss": loss}


MESSAGES = [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "sat <extra> mat"}]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<turn>{{ m['role'] }} {{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant {% endif %}"
)
TEXTS = ["the cat sat", "<turn>user the mat</s>", "dog <extra>cat"]


def tokenizer_case(in_config):
    words = ["<unk>", "<s>", "</s>", "the", "cat", "sat", "mat", "user", "assistant"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    fast.add_tokens(["<extra>"])
    fast.chat_template = TEMPLATE
    with tempfile.TemporaryDirectory() as folder:
        fast.save_pretrained(folder, save_jinja_files=not in_config)
        files = {name: Path(folder, name).read_text() for name in sorted(os.listdir(folder))}
        if in_config:
            # As before 4.40: tokens that were added stand outside of tokenizer.json, too.
            files["added_tokens.json"] = json.dumps(fast.get_added_vocab())
        return {
            "files": files,
            "texts": TEXTS,
            "ids": fast(TEXTS)["input_ids"],
            "messages": MESSAGES,
            "chat": fast.apply_chat_template(MESSAGES, tokenize=False),
        }


def main():
    golden = {
        "transformers": transformers.__version__,
        "rows": ROWS,
        "models": {name: model_case(*case) for name, case in CASES.items()},
        "tokenizers": {"template in tokenizer_config.json": tokenizer_case(True), "template in a file": tokenizer_case(False)},
    }
    path = Path(__file__).parent / "../../golden/transformers4.json"
    path.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


main()
