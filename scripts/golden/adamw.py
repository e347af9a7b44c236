"""Writes tests/golden/adamw.json: AdamW, gradient clipping and magnitude pruning as PyTorch computes them.

Run from the repository root: python3 scripts/golden/adamw.py
"""

import json

import torch

torch.manual_seed(0)
torch.set_num_threads(1)


def floats(tensor):
    return [float(x) for x in tensor.flatten()]


def adamw_case(betas, eps, groups, steps, max_norm):
    """groups: list of (lr, weight_decay, size). The learning rate of step k is lr * multiplier[k]."""
    params = [torch.nn.Parameter(torch.randn(size)) for _, _, size in groups]
    optimizer = torch.optim.AdamW(
        [dict(params=[p], lr=lr, weight_decay=wd) for p, (lr, wd, _) in zip(params, groups)], betas=betas, eps=eps
    )
    case = dict(
        betas=betas,
        eps=eps,
        maxNorm=max_norm,
        groups=[dict(lr=lr, weightDecay=wd) for lr, wd, _ in groups],
        initial=[floats(p) for p in params],
        steps=[],
    )
    for step in range(steps):
        multiplier = (step + 1) / steps
        for group, (lr, _, _) in zip(optimizer.param_groups, groups):
            group["lr"] = lr * multiplier
        scale = 10.0 ** (step % 4 - 2)
        for p in params:
            p.grad = torch.randn_like(p) * scale
        gradients = [floats(p.grad) for p in params]
        norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
        optimizer.step()
        case["steps"].append(
            dict(
                lrMultiplier=multiplier,
                gradients=gradients,
                norm=float(norm),
                parameters=[floats(p) for p in params],
                expAvg=[floats(optimizer.state[p]["exp_avg"]) for p in params],
                expAvgSq=[floats(optimizer.state[p]["exp_avg_sq"]) for p in params],
            )
        )
    return case


def pruning_case(size, ratio):
    values = torch.randn(size)
    threshold = torch.quantile(values.abs(), ratio)
    return dict(
        ratio=ratio,
        values=floats(values),
        threshold=float(threshold),
        pruned=floats(values * (values.abs() > threshold)),
    )


golden = dict(
    madeBy="scripts/golden/adamw.py",
    torch=torch.__version__,
    adamw=[
        adamw_case((0.9, 0.999), 1e-8, [(1e-3, 0.0, 7)], 6, 1.0),
        adamw_case((0.9, 0.95), 1e-6, [(1e-2, 0.1, 5), (3e-2, 0.0, 4)], 8, 0.5),
        adamw_case((0.0, 0.5), 1e-2, [(0.5, 0.01, 3)], 4, 1e6),
    ],
    pruning=[pruning_case(size, ratio) for size in (1, 2, 11, 100) for ratio in (0.0, 0.5, 0.9, 0.99)],
)
with open("tests/golden/adamw.json", "w") as file:
    json.dump(golden, file)
    file.write("\n")
