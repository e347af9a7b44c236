"""The library tokenizers, and transformers' way of reading a tokenizer's folder."""

import json
import os
import tempfile

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from transformers import AutoTokenizer


def _write(ids):
    """Saves lists of ids as one array of lengths and one of ids; gives the path."""
    path = os.path.join(tempfile.mkdtemp(), "ids.bin")
    flat = np.fromiter((i for one in ids for i in one), dtype="<i4")
    with open(path, "wb") as file:
        np.array([len(ids), *map(len, ids)], dtype="<i4").tofile(file)
        flat.tofile(file)
    return path


def encode_file(tokenizer, texts):
    """Ids without special tokens and the decoded text of each text of a JSON file, for a tokenizer.json."""
    loaded = Tokenizer.from_file(tokenizer)
    loaded.no_truncation()
    loaded.no_padding()
    with open(texts, encoding="utf-8") as file:
        given = json.load(file)
    ids = [encoding.ids for encoding in loaded.encode_batch(given, add_special_tokens=False)]
    decoded = texts + ".decoded"
    with open(decoded, "w", encoding="utf-8") as file:
        json.dump(loaded.decode_batch(ids, skip_special_tokens=False), file)
    return {"ids": _write(ids), "decoded": decoded}


def encode_json(tokenizer, texts):
    """Ids with and without special tokens, and what they decode to, for the content of a tokenizer.json."""
    loaded = Tokenizer.from_str(json.dumps(tokenizer))
    loaded.no_truncation()
    loaded.no_padding()
    answers = []
    for text in texts:
        plain = loaded.encode(text, add_special_tokens=False).ids
        answers.append(
            {
                "ids": plain,
                "whole": loaded.encode(text).ids,
                "text": loaded.decode(plain, skip_special_tokens=False),
                "skipped": loaded.decode(plain, skip_special_tokens=True),
            }
        )
    return answers


def stream(tokenizer, ids):
    """The pieces of text that come token by token; "" while a character is incomplete."""
    loaded = Tokenizer.from_file(tokenizer)
    decoding = DecodeStream(skip_special_tokens=False)
    return [decoding.step(loaded, each) or "" for each in ids]


def folder(path, texts, messages=None):
    """What transformers reads from a tokenizer's folder."""
    loaded = AutoTokenizer.from_pretrained(path)
    return {
        "ids": [loaded(text, add_special_tokens=False)["input_ids"] for text in texts],
        "whole": [loaded(text)["input_ids"] for text in texts],
        "decoded": [loaded.decode(loaded(text, add_special_tokens=False)["input_ids"]) for text in texts],
        "skipped": [loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) for text in texts],
        "named": {key: str(value) for key, value in loaded.special_tokens_map.items()},
        "size": len(loaded),
        "chat": messages and loaded.apply_chat_template(messages, tokenize=False),
    }


def decode_json(tokenizer, ids):
    """Texts of lists of ids, with and without special tokens, for the content of a tokenizer.json."""
    loaded = Tokenizer.from_str(json.dumps(tokenizer))
    return [[loaded.decode(each, skip_special_tokens=skip) for skip in (False, True)] for each in ids]
