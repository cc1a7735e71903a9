"""Reference values for core/statistics, from numpy and Python's own definitions. Needs numpy; writes the JSON files beside it.

Inputs come from random.Random (Mersenne Twister, stable over Python versions). Every statistic is written here straight from its
definition, with loops over windows and tokens, and independently of the TypeScript.
"""
import json
import math
import random
from pathlib import Path
from statistics import NormalDist

import numpy as np

HERE = Path(__file__).parent


def write(name, value):
    (HERE / name).write_text(json.dumps(value, indent=1) + "\n")


def percentiles():
    rng = random.Random(1)
    shares = [0, 0.001, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.99, 0.999, 1]
    cases = []
    for size in (1, 2, 3, 10, 101, 250):
        values = [round(rng.lognormvariate(-6, 2), 9) for _ in range(size)]
        cases.append({"values": values, "shares": shares, "quantiles": [float(np.percentile(values, 100 * s)) for s in shares]})
    write("quantile.json", cases)


def normal():
    shares = [0.5001, 0.75, 0.8, 0.9, 0.95, 0.975, 0.995, 0.9995, 0.99999, 0.9999999, 0.999999999]
    write("normal.json", [{"share": s, "z": NormalDist().inv_cdf(s)} for s in shares])


MASK = 0xFFFFFFFF


def rotl(x, k):
    return ((x << k) | (x >> (32 - k))) & MASK


def xoshiro128starstar(state):
    s = list(state)
    while True:
        yield (rotl(s[1] * 5 & MASK, 7) * 9) & MASK
        t = s[1] << 9 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 11)


def seeded(seed):
    weyl = (seed & MASK) ^ ((seed >> 32) * 0x85EBCA6B & MASK)
    words = []
    for _ in range(4):
        weyl = (weyl + 0x9E3779B9) & MASK
        x = (weyl ^ weyl >> 16) * 0x85EBCA6B & MASK
        x = (x ^ x >> 13) * 0xC2B2AE35 & MASK
        words.append(x ^ x >> 16)
    return words


def generator():
    from itertools import islice

    write("xoshiro.json", {
        "state": [1, 2, 3, 4],
        "numbers": list(islice(xoshiro128starstar([1, 2, 3, 4]), 12)),
        "seeds": [{"seed": s, "numbers": list(islice(xoshiro128starstar(seeded(s)), 6))} for s in (0, 1, 2**32, 2**53 - 1)],
    })


def bootstrap_bounds(values, resamples, seed, level):
    numbers = xoshiro128starstar(seeded(seed))
    n = len(values)
    means = [sum(values[next(numbers) * n >> 32] for _ in range(n)) / n for _ in range(resamples)]
    return [float(np.percentile(means, 50 * (1 - level))), float(np.percentile(means, 50 * (1 + level)))]


def quality():
    rng = random.Random(7)
    windows, tokens, resamples, seed, level = 7, 19, 400, 12345, 0.9
    nll_ref, nll, kl, agree = [], [], [], []
    for _ in range(windows):
        shift = rng.gauss(0.02, 0.03)
        for i in range(tokens):
            ref = rng.expovariate(0.4)
            nll_ref.append(ref)
            nll.append(max(0.0, ref + shift + rng.gauss(0, 0.1) + 0.002 * i))
            kl.append(rng.lognormvariate(-5, 1.5))
            agree.append(int(rng.random() < 0.9))
    ref, q, k, a = (np.array(x, dtype=np.float64).reshape(windows, tokens) for x in (nll_ref, nll, kl, agree))
    total = windows * tokens

    def interval(x):
        mean = float(x.sum() / total)
        residual = (x - mean).sum(axis=1)
        se = math.sqrt(windows / (windows - 1) * float((residual**2).sum())) / total
        low, high = bootstrap_bounds([float(row.sum() / tokens) for row in x], resamples, seed, level)
        return {"mean": mean, "low": low, "high": high, "standardError": se, "level": level}

    d = q - ref
    ln = interval(d)
    ppl_ref = math.exp(ref.sum() / total)
    ratio = math.exp(ln["mean"])
    top = np.sort(k.ravel())[::-1][: math.ceil(total / 100)]
    kls = interval(k)
    wrong = 0.5
    kls.update({name: float(np.percentile(k, p)) for name, p in (("median", 50), ("p90", 90), ("p99", 99), ("p999", 99.9))})
    kls.update({"max": float(k.max()), "topPercentShare": float(top.sum() / k.sum()), "shareOfWrongCache": kls["mean"] / wrong})
    flip = interval(1 - a)
    dp = np.exp(-q) - np.exp(-ref)
    edges = [math.floor(b * tokens / 8) for b in range(9)]
    write("quality.json", {
        "samples": {"tokensPerWindow": tokens, "nllRef": nll_ref, "nll": nll, "kl": kl, "agree": agree},
        "options": {"level": level, "wrongCacheKl": wrong, "resamples": resamples, "seed": seed},
        "quality": {
            "tokens": total,
            "clusters": windows,
            "perplexity": math.exp(q.sum() / total),
            "lnRatio": ln,
            "deltaPerplexity": {
                "mean": ppl_ref * (ratio - 1),
                "low": ppl_ref * (math.exp(ln["low"]) - 1),
                "high": ppl_ref * (math.exp(ln["high"]) - 1),
                "standardError": ppl_ref * ratio * ln["standardError"],
                "level": level,
            },
            "kl": kls,
            "flips": {"rate": flip["mean"], "low": flip["low"], "high": flip["high"]},
            "deltaP": {"mean": float(dp.mean()), "rms": float(np.sqrt((dp**2).mean()))},
            "byDepth": [
                {"from": x + 1, "to": y, "tokens": (y - x) * windows, "klMean": float(k[:, x:y].mean()), "lnRatio": float(d[:, x:y].mean())}
                for x, y in zip(edges, edges[1:])
            ],
        },
    })


percentiles()
normal()
generator()
quality()
