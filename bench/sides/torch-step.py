"""One training step of a LLaMA with transformers, PEFT and PyTorch, on the line protocol of bench/README.md."""

import argparse
import json
import os
import resource
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--preset", required=True)
parser.add_argument("--method", choices=["lora", "relora", "full"], required=True)
parser.add_argument("--rank", type=int, default=128)
parser.add_argument("--vocab", type=int, default=32100)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--sequence", type=int, default=256)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--quantize", choices=["none", "nf4"], default="none", help="the frozen weights, by bitsandbytes")
parser.add_argument("--compile", action="store_true", help="the model through torch.compile")
args = parser.parse_args()

# OpenMP reads its variable when it loads.
os.environ["OMP_NUM_THREADS"] = str(args.threads)
os.environ["HF_HUB_OFFLINE"] = "1"
import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAMW = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
LORA_ALPHA = 32


def quantize(model):
    """Holds the linears of the blocks in NF4, blocks of 64, and computes in float32."""
    import bitsandbytes as bnb

    for name, linear in list(model.named_modules()):
        parent, _, own = name.rpartition(".")
        if own not in LINEARS:
            continue
        packed = bnb.nn.Linear4bit(
            linear.in_features, linear.out_features, bias=False, compute_dtype=torch.float32, quant_type="nf4",
            compress_statistics=False,
        )
        packed.weight = bnb.nn.Params4bit(
            linear.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=False, module=packed
        )
        setattr(model.get_submodule(parent), own, packed.to("cpu"))
    model.is_loaded_in_4bit = True


def build():
    """The model and the number of its own weights; requires_grad is as the method wants it."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "presets.json")) as file:
        sizes = json.load(file)[args.preset]
    sizes.setdefault("num_key_value_heads", sizes["num_attention_heads"])
    config = transformers.LlamaConfig(
        vocab_size=args.vocab, max_position_embeddings=args.sequence, attn_implementation="sdpa", use_cache=False, **sizes
    )
    model = transformers.LlamaForCausalLM(config).train()
    weights = sum(parameter.numel() for parameter in model.parameters())
    if args.method == "full":
        return model, weights
    if args.quantize == "nf4":
        quantize(model)
    lora = peft.LoraConfig(r=args.rank, lora_alpha=LORA_ALPHA, lora_dropout=0.0, target_modules=LINEARS)
    model = peft.get_peft_model(model, lora)
    if args.method == "relora":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("base_layer" not in name)
    return model, weights


torch.set_num_threads(args.threads)
torch.manual_seed(1)
model, weights = build()
trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(trained, fused=True, **ADAMW)
stream = (torch.arange(args.batch * args.sequence + 1) * 7919 + 13) % args.vocab
input_ids = stream[:-1].view(args.batch, args.sequence)
labels = stream[1:]


def loss_of(input_ids):
    logits = model(input_ids=input_ids).logits
    return torch.nn.functional.cross_entropy(logits.view(-1, args.vocab), labels)


if args.compile:
    loss_of = torch.compile(loss_of)


def training_step():
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of(input_ids)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    return loss.item()


def reply(message):
    print(json.dumps(message), flush=True)


reply(
    {
        "side": "torch-compiled" if args.compile else "torch-nf4" if args.quantize == "nf4" else "torch",
        "version": f"{torch.__version__}, transformers {transformers.__version__}, PEFT {peft.__version__}",
        "parameters": weights,
        "trained": sum(parameter.numel() for parameter in trained),
        "setup": {"threads": torch.get_num_threads(), "attention": "sdpa", "adamw": "fused"},
    }
)
for line in sys.stdin:
    command = line.strip()
    if command == "step":
        start, used = time.perf_counter(), time.process_time()
        loss = training_step()
        reply({"ms": (time.perf_counter() - start) * 1e3, "cpuMs": (time.process_time() - used) * 1e3, "loss": loss})
    elif command == "profile":
        reply({})
    elif command == "peak":
        reply({"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})
    elif command == "quit":
        break
    else:
        raise SystemExit(f"torch-step: unknown command {command!r}; step, profile, peak and quit are known")
