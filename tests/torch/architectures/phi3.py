"""Phi 3 (arXiv:2404.14219) and the layout of its published weights: joined projections, and heads of which a part turns."""

from llama_plan import ACTIVATIONS, attend, decoder, rotate, sizes, split, turns


def logits(weights, config, input_ids, lora):
    heads, groups, head = sizes(config)
    newer = config.get("rope_parameters") or {}
    rope = turns(config, int(head * newer.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))))

    def attention(linear, norm, x, layer):
        joined = linear("qkv_proj", x).split([heads * head, groups * head, groups * head], dim=-1)
        q, k, v = (split(part, count) for part, count in zip(joined, (heads, groups, groups)))
        return linear("o_proj", attend(rotate(q, rope), rotate(k, rope), v, config.get("sliding_window")))

    def mlp(linear, x):
        gate, up = linear("gate_up_proj", x).chunk(2, dim=-1)
        return linear("down_proj", up * ACTIVATIONS[config.get("hidden_act", "silu")](gate))

    return decoder(weights, config, input_ids, lora, attention, mlp)
