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


def beginnings(path, text, prompts, new_tokens):
    """Held-out loss of a text with what the tokenizer puts around it and an end, and greedy text after prompts."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    with torch.no_grad():
        ids = torch.tensor([tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]])
        loss = model(input_ids=ids, labels=ids).loss.item()
        written = []
        for prompt in prompts:
            given = None
            if prompt is not None:
                given = tokenizer(prompt, return_tensors="pt")["input_ids"]
            answer = model.generate(
                given, attention_mask=None, max_new_tokens=new_tokens, do_sample=False, pad_token_id=0
            )[0]
            start = 1 if given is None else given.shape[1]
            written.append({"prompt": start, "ids": answer.tolist(), "text": tokenizer.decode(answer[start:])})
    return {"loss": loss, "written": written}


def chat(path, messages, new_tokens):
    """Greedy answer of a folder's model to a conversation: ids with what ended them."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    given = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        answer = model.generate(**given, max_new_tokens=new_tokens, do_sample=False, pad_token_id=0)[0]
    said = answer[given["input_ids"].shape[1] :].tolist()
    return {"prompt": given["input_ids"][0].tolist(), "ids": said, "text": tokenizer.decode(said, skip_special_tokens=True)}


def adapter_loss(base, adapter, ids):
    """Mean loss of PEFT's model with the adapter over lists of ids; the base takes the adapter's vocabulary."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.resize_token_embeddings(len_of_embeddings(adapter), mean_resizing=False)
    model = PeftModel.from_pretrained(model, adapter).eval()
    total = count = 0
    with torch.no_grad():
        for each in ids:
            given = torch.tensor([each])
            total += model(input_ids=given, labels=given).loss.item() * (len(each) - 1)
            count += len(each) - 1
    return total / count


def len_of_embeddings(adapter):
    from safetensors.torch import load_file

    tensors = load_file(os.path.join(adapter, "adapter_model.safetensors"))
    return next(t.shape[0] for name, t in tensors.items() if name.endswith("embed_tokens.weight"))


def resized_adapter(base, out, tokens):
    """Writes an adapter with tokens added to the base's tokenizer and vocabulary, drawn at random, as TRL saves it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer.add_special_tokens({"extra_special_tokens": tokens})
    tokenizer.eos_token = tokens[-1]
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}" + tokens[-1] + "{% endfor %}"
    model.resize_token_embeddings(model.config.vocab_size + len(tokens), mean_resizing=False)
    peft = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    peft.save_pretrained(out, save_embedding_layers=True)
    tokenizer.save_pretrained(out)
