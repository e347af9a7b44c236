"""GGUF files by gguf-py: blocks that it reads and makes, and the tensors of whole files."""

import hashlib
import os

import gguf
import numpy
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from transformers import AutoModelForCausalLM, AutoTokenizer


def write_blocks(path, types, count, seed):
    """A file with `count` blocks of random bytes of each type; returns the values of each, as a file."""
    random = numpy.random.default_rng(seed)
    writer = GGUFWriter(path, "llama")
    values = {}
    for name in types:
        kind = GGMLQuantizationType[name]
        size = gguf.GGML_QUANT_SIZES[kind][1]
        blocks = random.integers(0, 256, (count, size), dtype=numpy.uint8)
        writer.add_tensor(name, blocks, raw_dtype=kind)
        values[name] = f"{path}.{name}"
        with numpy.errstate(all="ignore"):
            gguf.dequantize(blocks, kind).tofile(values[name])
    _finish(writer)
    return values


def write_sources(path, rows, seed):
    """A file with a matrix of numbers of many spreads in float32, with rows of 256, as a raw file beside it."""
    random = numpy.random.default_rng(seed)
    spreads = 10.0 ** random.uniform(-4, 2, (rows, 8, 1))
    source = (random.normal(0, 1, (rows, 8, 32)) * spreads).astype(numpy.float32).reshape(rows, 256)
    source[::7, :32] = 0
    # Plus zero, for no negative one: which of the two numpy takes for the smallest number is its processor's choice.
    source[1::7, 32:64] = numpy.round(source[1::7, 32:64]) + 0.0
    source[2::7] = abs(source[2::7])
    source.tofile(path)


def differing_bytes(path, source, types):
    """Of each tensor, which has its type's name, the bytes that differ from those that gguf-py makes of the source."""
    given = numpy.fromfile(source, numpy.float32).reshape(-1, 256)
    made = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    differing = {}
    for name in types:
        expected = gguf.quantize(given, GGMLQuantizationType[name]).view(numpy.uint8).reshape(-1)
        written = numpy.asarray(made[name].data).view(numpy.uint8).reshape(-1)
        assert len(written) == len(expected)
        differing[name] = int((written != expected).sum())
    return differing


def relative_error(path, source, name):
    """Of the numbers of a tensor, widened by gguf-py."""
    given = numpy.fromfile(source, numpy.float32)
    tensor = next(tensor for tensor in GGUFReader(path).tensors if tensor.name == name)
    widened = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(-1)
    return float(numpy.linalg.norm(widened - given) / numpy.linalg.norm(given))


def hashes(path):
    """Type, shape and SHA-256 of the values of each tensor, by name."""
    found = {}
    for tensor in GGUFReader(path).tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        shape = [int(size) for size in reversed(tensor.shape)]
        found[tensor.name] = [tensor.tensor_type.name, shape, hashlib.sha256(numpy.ascontiguousarray(values)).hexdigest()]
    return found


def _finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tokens(path, texts):
    """The ids of the texts, by the tokenizer that transformers rebuilds from the file."""
    folder, name = os.path.split(path)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    return [tokenizer(text)["input_ids"] for text in texts]


def logits(path, ids, out):
    """Writes the logits that transformers computes with the file; returns the mean loss of the rows."""
    folder, name = os.path.split(path)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    rows = torch.tensor(ids)
    with torch.no_grad():
        computed = model(rows, labels=rows)
    computed.logits.numpy().astype(numpy.float32).tofile(out)
    return float(computed.loss)
