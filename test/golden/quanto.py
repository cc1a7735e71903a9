"""Fixture quanto.json: what the cache of transformers makes of an array by optimum-quanto.

Made with torch 2.x and optimum-quanto 0.2.7:  python test/golden/quanto.py > test/golden/quanto.json
The cache calls MaxOptimizer and quantize_weight on [1, kvHeads, tokens, headDim] with groups of 64; axis 0 groups channels
of a token, axis -1 tokens of a channel. Arrays are F32 in base64; `decoded` is what dequantize gives back.
"""
import base64
import json
import sys

import torch
from optimum.quanto import MaxOptimizer, qint2, qint4, quantize_weight

GROUP = 64


def text(tensor):
    return base64.b64encode(tensor.float().contiguous().numpy().tobytes()).decode()


def keys(heads, tokens, channels, generator):
    """Normal values, each channel with a place and a width of its own, as keys have them; rounded to F16."""
    middle = torch.randn(heads, 1, channels, generator=generator)
    width = torch.exp(torch.randn(heads, 1, channels, generator=generator) / 2)
    return (middle + width * torch.randn(heads, tokens, channels, generator=generator)).half().float()


def case(values, qtype, axis):
    tensor = values.unsqueeze(0)
    scale, shift = MaxOptimizer()(tensor, qtype, axis, GROUP)
    decoded = quantize_weight(tensor, qtype, axis, scale, shift, GROUP).dequantize()
    return {"bits": qtype.bits, "axis": axis, "decoded": text(decoded)}


HEADS, TOKENS, CHANNELS = 2, 64, 64
values = keys(HEADS, TOKENS, CHANNELS, torch.Generator().manual_seed(64))
cases = [case(values, qtype, axis) for qtype in (qint2, qint4) for axis in (0, -1)]
shape = {"kvHeads": HEADS, "tokens": TOKENS, "headDim": CHANNELS}
json.dump({"shape": shape, "values": text(values), "cases": cases}, sys.stdout)
