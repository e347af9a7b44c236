"""What a token costs in transformers with a model from its files. Prints one line of JSON."""

import argparse
import json
import os
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--prompt", required=True)
parser.add_argument("--tokens", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
args = parser.parse_args()

# OpenMP reads its variable when it loads.
os.environ["OMP_NUM_THREADS"] = str(args.threads)
os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(args.threads)
tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, device_map={"": "cpu"}).eval()
ids = tokenizer(args.prompt, return_tensors="pt").input_ids


def answer(count):
    started = time.perf_counter()
    with torch.inference_mode():
        found = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count, do_sample=False,
            pad_token_id=0,
        )
    return 1e3 * (time.perf_counter() - started), tokenizer.decode(found[0, ids.shape[1] :])


answer(8)
# Without the prompt, which both have read.
(short, _), (long, text) = answer(8), answer(8 + args.tokens)
print(json.dumps({
    "ms": (long - short) / args.tokens,
    "text": text,
    "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
