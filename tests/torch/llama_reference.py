"""Loss, logits and every gradient of a LLaMA, by PyTorch autograd.

source  metadata  config        JSON with the keys of a Hugging Face LLaMA config.json
                  lora_scaling  number, default 1
                  dtype         float32 (default) or float64: what to compute in
        tensors   weights under their Hugging Face names, NAME.lora_A.weight and NAME.lora_B.weight,
                  input_ids and labels [batch, length] int32 (labels already shifted; -100 is not scored)
target  tensors   loss [], logits [batch, length, vocab], grad.NAME for each float tensor; always stored as float32
"""

import json
import struct

import numpy
import torch
from llama import llama_logits, llama_loss

NUMPY_TYPES = {"F32": numpy.float32, "F64": numpy.float64, "I32": numpy.int32, "I64": numpy.int64}


def read_safetensors(path):
    with open(path, "rb") as file:
        content = file.read()
    (header_length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + header_length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = content[8 + header_length + begin : 8 + header_length + end]
        array = numpy.frombuffer(raw, NUMPY_TYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = torch.from_numpy(array.copy())
    return tensors, metadata


def write_safetensors(path, tensors):
    header, chunks, offset = {}, [], 0
    for name, tensor in tensors.items():
        raw = tensor.detach().to(torch.float32).contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(raw)]}
        chunks.append(raw)
        offset += len(raw)
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded + b"".join(chunks))


def compare(source, target):
    tensors, metadata = read_safetensors(source)
    config = json.loads(metadata["config"])
    dtype = {"float32": torch.float32, "float64": torch.float64}[metadata.get("dtype", "float32")]
    input_ids = tensors.pop("input_ids").long()
    labels = tensors.pop("labels").long()
    weights = {name: tensor.to(dtype).requires_grad_() for name, tensor in tensors.items() if tensor.is_floating_point()}
    logits = llama_logits(weights, config, input_ids, float(metadata.get("lora_scaling", "1")))
    loss = llama_loss(logits, labels)
    loss.backward()
    unused = [name for name, weight in weights.items() if weight.grad is None]
    if unused:
        raise ValueError(f"llama_reference: no part of the model uses {', '.join(unused)}; check the names")
    outputs = {"loss": loss, "logits": logits}
    outputs.update({f"grad.{name}": weight.grad for name, weight in weights.items()})
    write_safetensors(target, outputs)
