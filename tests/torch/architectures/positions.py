"""Rotary positions (arXiv:2104.09864), with the ways in which models were stretched to longer texts."""

import math

import torch


def frequencies(count, base, scaling=None):
    """Radians from one position to the next for each of count / 2 pairs of features. scaling: as in a config.json."""
    scaling = scaling or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    plain = [base ** (-2 * pair / count) for pair in range(count // 2)]
    if kind == "linear":
        return [frequency / scaling["factor"] for frequency in plain]
    if kind == "llama3":
        # By how the wavelength compares with the length of the texts of the original training.
        length, factor = scaling["original_max_position_embeddings"], scaling["factor"]
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]

        def changed(frequency):
            wavelength = 2 * math.pi / frequency
            if wavelength < length / high:
                return frequency
            if wavelength > length / low:
                return frequency / factor
            smooth = (length / wavelength - low) / (high - low)
            return (1 - smooth) * frequency / factor + smooth * frequency

        return [changed(frequency) for frequency in plain]
    assert kind == "default", kind
    return plain


def rotate(x, turns):
    """x: [batch, heads, length, head]. Of the first 2n features, n being the number of turns, i turns with i + n."""
    n = len(turns)
    positions = torch.arange(x.shape[2], dtype=torch.float64)
    angles = torch.outer(positions, torch.tensor(turns, dtype=torch.float64))
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :n], x[..., n : 2 * n]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, x[..., 2 * n :]], dim=-1)
