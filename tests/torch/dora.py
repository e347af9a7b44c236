"""DoRA of one linear layer (Liu et al. 2024, section 4.1 and 4.3: the norm is a constant), by PyTorch autograd in float64.

"""

import torch


def dora(scaling, mask, **given):
    """Output, merged weight, and the gradients of loraA, loraB, magnitude and x for the loss sum(output * dy).

    given: weight [out][in], loraA, loraB, magnitude, x, dy. mask is that of the dropped-out input, already scaled, or None.
    """
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
    return {name: tensor.detach().flatten().tolist() for name, tensor in result.items()}
