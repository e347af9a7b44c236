"""Losses of each step of LoRA training, as PEFT and TRL compute them."""

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig


def round_weights(model, out, dtype):
    """Writes a model's folder with its weights stored in another type."""
    AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).save_pretrained(out)
    AutoTokenizer.from_pretrained(model).save_pretrained(out)


def adapted(model, adapter, options, quantization=None, dtype="float32"):
    """A model that computes in `dtype`, with a fresh adapter in float32 of given A."""
    quantized = {} if quantization is None else {"quantization_config": BitsAndBytesConfig(**quantization)}
    base = AutoModelForCausalLM.from_pretrained(model, device_map={"": "cpu"}, dtype=getattr(torch, dtype), **quantized)
    base.config.use_cache = False
    peft = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **options))
    starts = load_file(adapter)
    with torch.no_grad():
        for name, module in peft.base_model.model.named_modules():
            if hasattr(module, "lora_A"):
                module.lora_A["default"].weight.copy_(starts.pop(name))
    assert not starts, starts.keys()
    assert all(each.dtype == torch.float32 for each in peft.parameters() if each.requires_grad)
    return peft


def peft_losses(model, adapter, options, rows, optimizer, quantization=None, dtype="float32"):
    """`rows`: a file with the tokens of each step."""
    peft = adapted(model, adapter, options, quantization, dtype)
    peft.train()
    trained = [parameter for parameter in peft.parameters() if parameter.requires_grad]
    adamw = torch.optim.AdamW(trained, lr=optimizer["lr"], weight_decay=0, betas=optimizer["betas"], eps=1e-8)
    losses = []
    for ids in load_file(rows)["rows"].long():
        loss = peft(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, optimizer["clip"])
        adamw.step()
        adamw.zero_grad()
        losses.append(loss.item())
    return losses


def trl_losses(model, adapter, options, rows, optimizer, out):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    losses = []

    class Recording(SFTTrainer):
        def training_step(self, *arguments, **named):
            loss = super().training_step(*arguments, **named)
            losses.append(loss.item())
            return loss

        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    tokens = load_file(rows)["rows"]
    steps, batch, length = tokens.shape
    settings = SFTConfig(
        output_dir=out, per_device_train_batch_size=batch, max_steps=steps, learning_rate=optimizer["lr"],
        lr_scheduler_type="constant", warmup_steps=0, weight_decay=0, adam_beta1=optimizer["betas"][0],
        adam_beta2=optimizer["betas"][1], max_grad_norm=optimizer["clip"], optim="adamw_torch", use_cpu=True, bf16=False,
        gradient_checkpointing=False, report_to="none", save_strategy="no", logging_strategy="no", max_length=length,
        dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False, packing=False,
    )
    data = Dataset.from_dict({"input_ids": tokens.reshape(-1, length).tolist()})
    Recording(model=adapted(model, adapter, options), args=settings, train_dataset=data).train()
    return losses
