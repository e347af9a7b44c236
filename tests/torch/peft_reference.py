"""PEFT adapters and the logits of base + adapter, by PyTorch in float64.

Written from PEFT's documented rules, with Python's own `re`: which modules an adapter_config.json targets, the keys and shapes of their
tensors, ranks and scalings by pattern, and what each kind of tensor does to the weights.

architecture  llama or gpt2
base          a model folder
cases         {"input_ids": [[...]], "cases": [{"config": adapter_config.json, "dtype": "F32" or "BF16"}]}
out           gets a folder for each case: adapter_config.json, adapter_model.safetensors, logits.safetensors
"""

import importlib
import json
import re
import struct
from pathlib import Path

import torch

from llama import llama_logits
from llama_reference import read_safetensors, write_safetensors

PREFIX = "base_model.model."


def named(names, module):
    return any(module == name or module.endswith("." + name) for name in names)


def is_target(config, module, head):
    targets, excluded = config["target_modules"], config.get("exclude_modules") or []
    if re.fullmatch(excluded, module) if isinstance(excluded, str) else named(excluded, module):
        return False
    if any(re.match(rf"(.*\.)?{name}($|\..*)", module) for name in config.get("modules_to_save") or []):
        return False
    if targets == "all-linear":
        return module != head
    if isinstance(targets, str):
        return re.fullmatch(targets, module) is not None
    if module in targets:
        return True
    if not named(targets, module):
        return False
    layers, patterns = config.get("layers_to_transform"), config.get("layers_pattern")
    if layers is None or layers == []:
        return True
    patterns = [patterns] if isinstance(patterns, str) else patterns or ["[^.]*"]
    for pattern in patterns:
        index = re.match(rf".*?\.{pattern}\.(\d+)\.", module)
        if index:
            return int(index.group(1)) in ([layers] if isinstance(layers, int) else layers)
    return False


def by_pattern(patterns, module, fallback):
    for key, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return fallback


class Case:
    def __init__(self, weights, config, dtype, embeddings, head, transposed):
        self.config, self.dtype = config, dtype
        self.generator = torch.Generator().manual_seed(len(json.dumps(config)))
        self.weights = {name: weight.double().clone() for name, weight in weights.items()}
        self.tensors = {}
        tied = head + ".weight" not in weights
        modules = [name[: -len(".weight")] for name, weight in weights.items() if name.endswith(".weight") and weight.dim() == 2]
        self.adapted = [module for module in modules if is_target(config, module, head) and (config["target_modules"] != "all-linear" or module not in embeddings)]
        for module in modules:
            if module in self.adapted:
                self.adapt(module, module in embeddings, transposed(module))
        for name in weights:
            module = name.rpartition(".")[0]
            if any(re.match(rf"(.*\.)?{saved}($|\..*)", module) for saved in config.get("modules_to_save") or []):
                self.weights[name] = self.keep(name, self.weights[name] + self.draw(*weights[name].shape))
            if name.endswith(".bias") and (config.get("bias") == "all" or config.get("bias") == "lora_only" and module in self.adapted):
                key = f"{module}.base_layer.bias" if module in self.adapted else name
                # A bias of lora_B that was added above is on top.
                trained = self.keep(key, weights[name].double() + self.draw(*weights[name].shape))
                self.weights[name] = trained + (self.weights[name] - weights[name].double())
        if tied and any("lm_head" in saved for saved in config.get("modules_to_save") or []):
            (table,) = [name for name in self.tensors if name.endswith((".wte.weight", ".embed_tokens.weight"))]
            self.tensors[f"{PREFIX}{head}.weight"] = self.tensors[table]
        indices = config.get("trainable_token_indices")
        for name, rows in ({"embed_tokens": indices} if isinstance(indices, list) else indices or {}).items():
            (module,) = [module for module in embeddings if named([name], module)]
            new = self.keep(f"{module}.token_adapter.trainable_tokens_delta", self.draw(len(rows), weights[module + ".weight"].shape[1]))
            self.weights[module + ".weight"] = self.weights[module + ".weight"].index_copy(0, torch.tensor(rows), new)

    def draw(self, *shape):
        return 0.3 * torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def keep(self, key, tensor):
        tensor = tensor.to(torch.bfloat16 if self.dtype == "BF16" else torch.float32)
        self.tensors[PREFIX + key] = tensor
        return tensor.double()

    def adapt(self, module, is_embedding, is_transposed):
        config = self.config
        rank = by_pattern(config.get("rank_pattern"), module, config.get("r", 8))
        alpha = by_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha", 8))
        scaling = alpha / rank**0.5 if config.get("use_rslora") else alpha / rank
        weight = self.weights[module + ".weight"]
        if is_embedding:
            a = self.keep(module + ".lora_embedding_A", self.draw(rank, weight.shape[0]))
            b = self.keep(module + ".lora_embedding_B", self.draw(weight.shape[1], rank))
            self.keep(module + ".base_layer.weight", weight)
            self.weights[module + ".weight"] = weight + scaling * (b @ a).T
            return
        weight = weight.T if is_transposed else weight
        out_features, in_features = weight.shape
        a = self.keep(module + ".lora_A.weight", self.draw(rank, in_features))
        b = self.keep(module + ".lora_B.weight", self.draw(out_features, rank))
        changed = weight + scaling * b @ a
        if config.get("use_dora"):
            magnitude = self.keep(module + ".lora_magnitude_vector", weight.norm(dim=1) * (1 + self.draw(out_features)))
            changed = changed * (magnitude / changed.norm(dim=1))[:, None]
        if config.get("lora_bias"):
            bias = self.keep(module + ".lora_B.bias", self.draw(out_features))
            self.weights[module + ".bias"] = self.weights[module + ".bias"] + scaling * bias
        self.weights[module + ".weight"] = changed.T if is_transposed else changed


def write_bfloat16(path, tensors):
    header, chunks, offset = {}, [], 0
    for name, tensor in tensors.items():
        raw = tensor.contiguous().view(torch.int16).numpy().tobytes()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(raw)]}
        chunks.append(raw)
        offset += len(raw)
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(encoded)) + encoded + b"".join(chunks))


def write(architecture, base, cases, out):
    model = json.loads((Path(base) / "config.json").read_text())
    weights, _ = read_safetensors(Path(base) / "model.safetensors")
    given = json.loads(Path(cases).read_text())
    ids = torch.tensor(given["input_ids"])
    for number, case in enumerate(given["cases"]):
        folder = Path(out) / str(number)
        folder.mkdir(parents=True)
        gpt2 = architecture == "gpt2"
        embeddings = ["transformer.wte", "transformer.wpe"] if gpt2 else ["model.embed_tokens"]
        made = Case(weights, case["config"], case["dtype"], embeddings, "lm_head", lambda module: gpt2 and ".h." in module)
        if gpt2:
            logits = importlib.import_module("gpt2").logits(made.weights, model, ids, lambda name, x: 0)
        else:
            logits = llama_logits(made.weights, model, ids, 1.0)
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **case["config"]}))
        write = write_bfloat16 if case["dtype"] == "BF16" else write_safetensors
        write(folder / "adapter_model.safetensors", made.tensors)
        write_safetensors(folder / "logits.safetensors", {"logits": logits})
