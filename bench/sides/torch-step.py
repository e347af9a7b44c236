"""One training step of a LLaMA in eager PyTorch, on the line protocol of bench/README.md."""

import argparse
import ctypes
import json
import os
import resource
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--preset", required=True)
parser.add_argument("--method", choices=["relora", "full"], required=True)
parser.add_argument("--rank", type=int, default=128)
parser.add_argument("--vocab", type=int, default=32100)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--sequence", type=int, default=256)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--foreach", choices=["auto", "on", "off"], default="auto", help="AdamW over lists of tensors")
args = parser.parse_args()



def choose_blas_kernels():
    """OpenBLAS takes CPUs younger than itself for a Prescott (SSE3), a fifth of the speed: name the kernels ourselves."""
    with open("/proc/cpuinfo") as file:
        flags = next((line for line in file if line.startswith("flags")), "").split()
    if "avx512bw" in flags:
        os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
    elif "avx2" in flags:
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")


# OpenBLAS and OpenMP read their variables when they load.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(args.threads)
choose_blas_kernels()
import torch  # noqa: E402

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "tests", "torch"))
from llama import ATTENTION_LINEARS, MLP_LINEARS, llama_logits, llama_loss, rotary_tables  # noqa: E402

ADAMW = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
LORA_ALPHA = 32


def build_weights(config):
    """Every tensor by name, with requires_grad set as the method wants it (ReLoRA freezes the adapted weights only)."""
    hidden, intermediate = config["hidden_size"], config["intermediate_size"]
    weights = {}

    def add(name, tensor, trained=True):
        weights[name + ".weight"] = tensor.requires_grad_(trained)

    add("model.embed_tokens", torch.randn(args.vocab, hidden) * 0.02)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name in ATTENTION_LINEARS + MLP_LINEARS:
            outputs = intermediate if name in MLP_LINEARS[:2] else hidden
            inputs = intermediate if name == MLP_LINEARS[2] else hidden
            add(prefix + name, torch.randn(outputs, inputs) * 0.02, trained=args.method == "full")
            if args.method == "relora":
                bound = inputs**-0.5
                add(prefix + name + ".lora_A", torch.empty(args.rank, inputs).uniform_(-bound, bound))
                add(prefix + name + ".lora_B", torch.zeros(outputs, args.rank))
        add(prefix + "input_layernorm", torch.ones(hidden))
        add(prefix + "post_attention_layernorm", torch.ones(hidden))
    add("model.norm", torch.ones(hidden))
    add("lm_head", torch.randn(args.vocab, hidden) * 0.02)
    return weights


def faster_foreach(trained):
    """Times AdamW both ways on tensors of the trained sizes; the winner is what the steps use."""
    times = {}
    copies = [torch.zeros_like(tensor).requires_grad_() for tensor in trained]
    for copy in copies:
        copy.grad = torch.zeros_like(copy)
    for foreach in (False, True):
        optimizer = torch.optim.AdamW(copies, foreach=foreach, **ADAMW)
        optimizer.step()
        rounds = []
        for _ in range(5):
            start = time.perf_counter()
            optimizer.step()
            rounds.append(time.perf_counter() - start)
        times[foreach] = min(rounds)
    return times[True] < times[False]


def blas_kernels():
    try:
        library = ctypes.CDLL("libblas.so.3")
        library.openblas_get_corename.restype = ctypes.c_char_p
        return "OpenBLAS " + library.openblas_get_corename().decode()
    except (OSError, AttributeError):
        return "not OpenBLAS"


def reply(message):
    print(json.dumps(message), flush=True)


torch.set_num_threads(args.threads)
torch.manual_seed(1)
with open(os.path.join(here, "..", "presets.json")) as file:
    config = json.load(file)[args.preset]
weights = build_weights(config)
trained = [tensor for tensor in weights.values() if tensor.requires_grad]
foreach = faster_foreach(trained) if args.foreach == "auto" else args.foreach == "on"
optimizer = torch.optim.AdamW(trained, foreach=foreach, **ADAMW)
tables = rotary_tables(config, args.sequence, torch.float32)
stream = (torch.arange(args.batch * args.sequence + 1) * 7919 + 13) % args.vocab
input_ids = stream[:-1].view(args.batch, args.sequence)
labels = stream[1:].view(args.batch, args.sequence)


def training_step():
    optimizer.zero_grad(set_to_none=True)
    loss = llama_loss(llama_logits(weights, config, input_ids, LORA_ALPHA / args.rank, tables), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    return loss.item()


def matmul_share():
    """Share of one step's time inside matrix multiplications, by PyTorch's own profiler."""
    with torch.autograd.profiler.profile() as profile:
        training_step()
    events = profile.key_averages()
    matmul = sum(e.self_cpu_time_total for e in events if e.key in ("aten::mm", "aten::bmm", "aten::addmm"))
    return matmul / sum(e.self_cpu_time_total for e in events)


reply(
    {
        "side": "torch",
        "version": torch.__version__,
        "parameters": sum(tensor.numel() for name, tensor in weights.items() if ".lora_" not in name),
        "trained": sum(tensor.numel() for tensor in trained),
        "setup": {"foreach": foreach, "threads": torch.get_num_threads(), "blas": blas_kernels()},
    }
)
for line in sys.stdin:
    command = line.strip()
    if command == "step":
        start = time.perf_counter()
        loss = training_step()
        reply({"ms": (time.perf_counter() - start) * 1e3, "loss": loss})
    elif command == "profile":
        reply({"matmulShare": matmul_share()})
    elif command == "peak":
        reply({"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})
    elif command == "quit":
        break
    else:
        raise SystemExit(f"torch-step: unknown command {command!r}; step, profile, peak and quit are known")
