"""Steps of TRL's SFTTrainer on chats, with PEFT's LoRA on all linears, in float32. Prints one line of JSON."""

import argparse
import json
import os
import resource
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--rank", type=int, required=True)
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--sequence", type=int, required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
args = parser.parse_args()

# OpenMP reads its variable when it loads.
os.environ["OMP_NUM_THREADS"] = str(args.threads)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
import datasets  # noqa: E402
import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import trl  # noqa: E402

torch.set_num_threads(args.threads)
transformers.logging.set_verbosity_error()
datasets.disable_progress_bars()

with open(args.data) as file:
    chats = [{"messages": json.loads(line)["messages"]} for line in file if line.strip()]
seconds = []
losses = []


class Timed(trl.SFTTrainer):
    def training_step(self, *arguments, **named):
        loss = super().training_step(*arguments, **named)
        losses.append(loss.item())
        return loss


class Clock(transformers.TrainerCallback):
    def on_step_begin(self, *arguments, **named):
        self.started = time.perf_counter()

    def on_step_end(self, *arguments, **named):
        seconds.append(time.perf_counter() - self.started)


with tempfile.TemporaryDirectory() as out:
    settings = trl.SFTConfig(
        output_dir=out, per_device_train_batch_size=args.batch, max_steps=args.steps, learning_rate=1e-4,
        lr_scheduler_type="constant", warmup_steps=0, weight_decay=0, max_grad_norm=1.0, optim="adamw_torch_fused",
        use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", save_strategy="no",
        logging_strategy="no", max_length=args.sequence, packing=False, disable_tqdm=True, seed=1,
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    lora = peft.LoraConfig(r=args.rank, lora_alpha=2 * args.rank, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = Timed(
        model=model, args=settings, train_dataset=datasets.Dataset.from_list(chats), peft_config=lora,
        processing_class=transformers.AutoTokenizer.from_pretrained(args.model), callbacks=[Clock()],
    )
    trained = sum(parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad)
    trainer.train()
print(json.dumps({
    "version": f"TRL {trl.__version__}, PEFT {peft.__version__}, torch {torch.__version__}",
    "trained": trained,
    "ms": [1e3 * value for value in seconds],
    "losses": losses,
    "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
