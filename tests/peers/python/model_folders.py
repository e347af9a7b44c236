"""Model folders, written and read by transformers."""

import contextlib
import json
import logging
import os

import safetensors.torch
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer


def write(folder, config, seed=0, dtype="float32", max_shard_size="50GB", drop=(), rename=(), add=None, head=None):
    """Writes a random model with save_pretrained; then changes its weight files.

    drop: names of tensors to leave out. rename: pairs of a beginning and the one to write in its place. add: more
    tensors, by name, as lists of numbers. head: "own" puts a head of its own beside a tied table, "same" the table again.
    """
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), dtype=torch.float32)
    scatter(model)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=max_shard_size)
    if drop or rename or add or head:
        change(folder, model, drop, rename, add or {}, head)
    return sorted(os.listdir(folder))


def scatter(model):
    """Gives every parameter values that are nowhere near its usual start, so that none of them is without effect."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 1.2 / min(parameter.shape) ** 0.5)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.2)


def change(folder, model, drop, rename, add, head):
    files = [name for name in os.listdir(folder) if name.endswith(".safetensors")]
    names = {}
    for file in sorted(files):
        path = os.path.join(folder, file)
        tensors = safetensors.torch.load_file(path)
        changed = {}
        for name, tensor in tensors.items():
            if name in drop:
                continue
            for old, new in rename:
                if name.startswith(old):
                    name = new + name[len(old) :]
                    break
            changed[name] = tensor.clone()
        if file == sorted(files)[-1]:
            for name, values in add.items():
                changed[name] = torch.tensor(values)
            if head is not None:
                name = next(name for name, value in model.named_modules() if value is model.get_output_embeddings())
                table = model.get_input_embeddings().weight.detach()
                changed[f"{name}.weight"] = table.clone() if head == "same" else torch.randn_like(table) * 0.3
        safetensors.torch.save_file(changed, path, metadata={"format": "pt"})
        names.update({name: file for name in changed})
    index = os.path.join(folder, "model.safetensors.index.json")
    if os.path.exists(index):
        with open(index) as stream:
            content = json.load(stream)
        content["weight_map"] = names
        with open(index, "w") as stream:
            json.dump(content, stream)


def read(folder, ids, logits=None):
    """What transformers computes with the folder in float32. ids: rows of tokens. logits: file for (rows, time, vocab).

    "missing", "unexpected" and "mismatched" are the names that its loading reports, "warnings" what it warns of.
    """
    with warnings_of_transformers() as messages:
        model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    model.eval()
    with torch.no_grad():
        inputs = torch.tensor(ids)
        result = model(inputs, labels=inputs)
    if logits is not None:
        safetensors.torch.save_file({"logits": result.logits.contiguous()}, logits)
    return {
        "loss": result.loss.item() if result.loss.isfinite() else None,
        "missing": sorted(report["missing_keys"]),
        "unexpected": sorted(report["unexpected_keys"]),
        "mismatched": sorted(str(key) for key in report["mismatched_keys"]),
        "warnings": messages,
    }


def generate(folder, prompts, tokens, logits, anew=False):
    """Greedy continuations of so many tokens, without an end. logits: file for the scores after each prompt, by number.

    anew: loads the model for each prompt, since dynamic positions remember the longest text that they have seen.
    """
    continuations, scores = [], {}
    for number, prompt in enumerate(prompts):
        if anew or number == 0:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        ids = torch.tensor([prompt])
        with torch.no_grad():
            scores[str(number)] = model(ids, logits_to_keep=1).logits[0, 0].clone()
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            eos_token_id=-1,
            pad_token_id=0,
        )
        continuations.append(made[0, len(prompt) :].tolist())
    safetensors.torch.save_file(scores, logits)
    return continuations


def encode(folder, texts):
    """Tokens of texts."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text)["input_ids"] for text in texts]


def read_variants(folder, variants, ids, logits):
    """What transformers computes with the folder's weights under each of several configs, or the beginning of an error.

    A folder of its number with the same weights is made below `folder` for each. The logits go to one file, by number.
    """
    answers, computed = [], {}
    for number, config in enumerate(variants):
        variant = os.path.join(folder, str(number))
        os.makedirs(variant)
        for file in os.listdir(folder):
            if "safetensors" in file:
                os.link(os.path.join(folder, file), os.path.join(variant, file))
        with open(os.path.join(variant, "config.json"), "w") as stream:
            json.dump(config, stream)
        try:
            path = os.path.join(variant, "logits")
            answers.append(read(variant, ids, path))
            computed[str(number)] = safetensors.torch.load_file(path)["logits"]
        except Exception as error:
            answers.append({"error": f"{type(error).__name__}: {error}"[:200]})
    safetensors.torch.save_file(computed, logits)
    return answers


def config_fields(model_type):
    """Names of all fields of the config class, with their defaults as far as JSON can hold them."""
    config = AutoConfig.for_model(model_type)
    return json.loads(config.to_json_string(use_diff=False))


@contextlib.contextmanager
def warnings_of_transformers():
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = transformers.utils.logging.get_logger("transformers")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
