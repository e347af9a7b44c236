"""DoRA of one linear layer (Liu et al. 2024, section 4.1 and 4.3: the norm is a constant), by PyTorch autograd in float64.

Reads JSON from standard input: weight [out][in], loraA, loraB, magnitude, x, dy, scaling, mask (of the dropped-out input, already scaled, or
null). Writes JSON: output, merged weight, and the gradients of loraA, loraB, magnitude and x for the loss sum(output * dy).
"""

import json
import sys

import torch

given = json.load(sys.stdin)
scaling = given.pop("scaling")
mask = given.pop("mask")
tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in given.items()}
leaves = {name: tensors[name].requires_grad_() for name in ("loraA", "loraB", "magnitude", "x")}
weight, x = tensors["weight"], leaves["x"]
changed = weight + scaling * leaves["loraB"] @ leaves["loraA"]
norm = changed.norm(dim=1).detach()
if mask is None:
    output = x @ (changed * (leaves["magnitude"] / norm)[:, None]).T
else:
    dropped = x * torch.tensor(mask, dtype=torch.float64)
    factor = leaves["magnitude"] / norm
    low = dropped @ leaves["loraA"].T @ leaves["loraB"].T * scaling
    output = x @ weight.T + (factor - 1) * (dropped @ weight.T) + factor * low
(output * tensors["dy"]).sum().backward()
result = {"output": output, "merged": changed * (leaves["magnitude"] / norm)[:, None]}
result.update({name: leaf.grad for name, leaf in leaves.items()})
print(json.dumps({name: tensor.detach().flatten().tolist() for name, tensor in result.items()}))
