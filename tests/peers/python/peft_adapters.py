"""Adapters that PEFT writes on tiny models of transformers, and what it computes with them or with ours."""

import copy
import functools
import json
import os
import warnings

import peft
import torch
import transformers
from peft import PeftModel, get_peft_model, set_peft_model_state_dict
from peft.tuners.lora.config import LoraGAConfig
from peft.tuners.lora.loraga import preprocess_loraga
from peft.utils.save_and_load import load_peft_weights
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

COMMON = {"vocab_size": 300, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
LLAMA = {
    **COMMON,
    **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": False},
}
NEOX = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
BASES = {
    "llama": ("Llama", LLAMA),
    "tied": ("Llama", {**LLAMA, "tie_word_embeddings": True}),
    "gpt2": ("GPT2", {**COMMON, "n_embd": 32, "n_head": 4, "n_layer": 3, "n_positions": 64}),
    "qwen2": ("Qwen2", {**LLAMA, "num_hidden_layers": 2}),
    # Wide enough for the 4-bit kernels of bitsandbytes.
    "wide": ("Qwen2", {**LLAMA, "num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 128}),
    "phi3": ("Phi3", {**LLAMA, "num_hidden_layers": 2}),
    "mistral": ("Mistral", {**LLAMA, "sliding_window": 8}),
    "qwen3": ("Qwen3", {**LLAMA, "head_dim": 8}),
    "neox": ("GPTNeoX", NEOX),
    "tied neox": ("GPTNeoX", {**NEOX, "tie_word_embeddings": True}),
    "gemma3": ("Gemma3Text", {**LLAMA, "head_dim": 8, "sliding_window": 8, "tie_word_embeddings": True}),
}


def write_bases(folder, names):
    """Models with random weights, of which biases and norms are not at their usual values either."""
    for name in names:
        kind, config = BASES[name]
        torch.manual_seed(len(name))
        model = AutoModelForCausalLM.from_config(getattr(transformers, f"{kind}Config")(**config))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model.save_pretrained(os.path.join(folder, name))


def open_base(folder, **options):
    if options:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options).eval()
    return copy.deepcopy(read_base(folder))


@functools.lru_cache(maxsize=8)
def read_base(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def mean_loss(model, rows):
    """Mean loss of all tokens but the first of each row."""
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([row])
            losses = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1].double(), ids[0, 1:], reduction="sum")
            total, count = total + losses.item(), count + len(row) - 1
    return total / count


def disturb(model, seed, size=0.05):
    """Gives every trained parameter another value, as if it was trained."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * size)


def write_adapter(base, out, config, rows, kind="Lora", dtype="float32", says=None):
    """Writes an adapter. Returns the loss that PEFT has with what it reads from there beside the base.

    Kinds other than LoRA, some of which take more than rows of tokens, have none. says: what the config says besides.
    """
    settings = {"task_type": "CAUSAL_LM", **config}
    model = get_peft_model(open_base(base), getattr(peft, f"{kind}Config")(**settings))
    disturb(model, len(str(config)))
    model.to(getattr(torch, dtype)).save_pretrained(out)
    if says is not None:
        path = os.path.join(out, "adapter_config.json")
        with open(path) as stream:
            written = json.load(stream)
        with open(path, "w") as stream:
            json.dump({**written, **says}, stream)
    return adapter_loss(base, out, rows) if kind == "Lora" and says is None else None


def write_converted(base, out, config, rows):
    """
    Writes an adapter whose initialisation changed its base, converted to one for the base as it was. Returns the loss
    on the changed base.
    """
    model = open_base(base)
    lora = peft.LoraConfig(task_type="CAUSAL_LM", **config)
    if lora.init_lora_weights == "lora_ga":
        lora.lora_ga_config = LoraGAConfig()
        ids = torch.tensor(rows[:1])
        preprocess_loraga(model, lora, lambda: model(input_ids=ids, labels=ids).loss.backward())
    model = get_peft_model(model, lora)
    initial = f"{out}-initial"
    model.save_pretrained(initial)
    disturb(model, len(out))
    loss = mean_loss(model.eval(), rows)
    model.save_pretrained(out, path_initial_model_for_weight_conversion=initial)
    return loss


def adapter_loss(base, adapter, rows):
    return mean_loss(PeftModel.from_pretrained(open_base(base), adapter).eval(), rows)


def write_adapters(bases, out, cases, rows):
    """Losses by case."""
    results = {}
    for name, case in cases.items():
        base, options = os.path.join(bases, case["base"]), {key: case[key] for key in ("kind", "dtype", "says") if key in case}
        results[name] = write_adapter(base, os.path.join(out, name), case["config"], rows, **options)
    return results


def read_adapter(base, adapter, rows, bits=None):
    """
    What PEFT has with an adapter that it did not write: the loss, the names that it lacks or does not know, and what it
    warns of.
    """
    opened = open_base(base, **quantized(bits))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # In evaluation mode the 4-bit kernels of the CPU compute in bfloat16. There is no dropout here.
        model = PeftModel.from_pretrained(opened, adapter).train(bits is not None)
    result = set_peft_model_state_dict(model, load_peft_weights(adapter))
    own = [name for name in result.missing_keys if "lora_" in name or "modules_to_save" in name]
    # Of a tied table PEFT warns for its own adapters, too, unless they were made with that option.
    caught = [each for each in caught if each.category is UserWarning and "ensure_weight_tying" not in str(each.message)]
    messages = [str(each.message) for each in caught]
    return {"loss": mean_loss(model, rows), "missing": own, "unexpected": result.unexpected_keys, "warnings": messages}


def read_adapters(adapters, rows):
    return {name: read_adapter(each["base"], each["adapter"], rows, each.get("bits")) for name, each in adapters.items()}


def model_losses(folders, rows):
    return {name: mean_loss(open_base(folder), rows) for name, folder in folders.items()}


def train_on(base, adapter, rows, steps, lr, out=None):
    """Losses of AdamW steps from an adapter, each on all rows, and the loss after the last."""
    model = PeftModel.from_pretrained(open_base(base), adapter, is_trainable=True).eval()  # without dropout
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        total, count = 0.0, 0
        for row in rows:
            ids = torch.tensor([row])
            total += torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="sum")
            count += len(row) - 1
        (total / count).backward()
        optimizer.step()
        losses.append(total.item() / count)
    return {"losses": losses, "loss": mean_loss(model.eval(), rows)}


def quantized(bits):
    """Options of a base that bitsandbytes quantizes when it is loaded."""
    if bits is None:
        return {}
    if bits == 8:
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    settings = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32, "bnb_4bit_use_double_quant": bits == "4d"}
    return {"quantization_config": BitsAndBytesConfig(load_in_4bit=True, **settings)}


def write_quantized(base, out, bits):
    open_base(base, **quantized(bits)).save_pretrained(out)


def write_on_quantized(base, out, bits, config, rows):
    """An adapter that PEFT puts on a base that bitsandbytes quantizes. Returns the losses on both bases."""
    model = get_peft_model(open_base(base, **quantized(bits)), peft.LoraConfig(task_type="CAUSAL_LM", **config))
    disturb(model, 1)
    model.save_pretrained(out)
    return {"quantized": mean_loss(model.train(), rows), "float": adapter_loss(base, out, rows)}
