#!/usr/bin/env python3
"""Fixtures of the learned and structured quantizers, in the form of make.py's, by arithmetic in numpy. Run once, by hand; the outputs are committed.

  pip install numpy ml_dtypes        (made with numpy 2.4.6, ml_dtypes 0.6.0)
  python test/golden/quantizers/make_structured.py

PolarQuant: angles by arc tangents in F64 on the rotated row in F32. QJL: its estimator's vector. nuq: k-means by sorting and cumulative sums.
CacheGen: torch_quant_vectorized and do_dequantize of its LMCache, on F32. GEAR: KIVI's groups, residuals by QR as its power iteration has it.
SKVQ: k-means with all distances at once, its quantizer one cluster of one token after another, E4M3 by ml_dtypes.
"""
import base64, json, math, os
import numpy as np, ml_dtypes

HERE = os.path.dirname(os.path.abspath(__file__))
F = np.float32
half = lambda v: np.asarray(v, F).astype(np.float16)

def rows(dim, seed, most=6e4):
    """16 rows of what goes wrong, [2, 8, dim] F32."""
    r = np.random.default_rng(seed); n = lambda: r.standard_normal(dim).astype(F); i = np.arange(dim)
    spiky = n(); spiky[[5, dim // 2 + 3]] *= F(20)
    sparse = np.zeros(dim, F); sparse[dim // 3] = F(-3.25)
    return np.stack([
        n(), n() * F(0.01), spiky, n() + F(100),
        np.zeros(dim, F), np.full(dim, 1.5, F), n() * F(0.7), n() - F(2),
        ((i % 31) - 15).astype(F) / F(2), ((i % 255) - 127).astype(F), sparse, np.abs(n()) + F(0.5),
        r.uniform(-most, most, dim).astype(F), n() * F(1e-3), n() * F(1e-5), n() * F(1e-40),
    ]).reshape(2, 8, dim)

def b64(a): return base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()

def case(x, streams, decoded, params={}, side="key"):
    heads, tokens, dim = x.shape
    return dict(params=params, shape=dict(kvHeads=heads, tokens=tokens, headDim=dim, dtype="F32", side=side), values=b64(x.astype(F)),
                streams={k: b64(v) for k, v in streams.items()}, decoded=b64(decoded.astype(F)))

def pack(codes, bits):
    """Little-endian bit string of each row of codes, filled up to whole bytes."""
    codes = codes.reshape(-1, codes.shape[-1]); planes = (codes[:, :, None].astype(np.uint16) >> np.arange(bits)) & 1
    return np.packbits(planes.reshape(len(codes), -1).astype(np.uint8), axis=1, bitorder="little")

def transform(y):
    """Sylvester's Walsh-Hadamard transform of the last axis, in F32, from stride 1 upwards."""
    d = y.shape[-1]; stride = 1
    while stride < d:
        p = y.reshape(-1, d // (2 * stride), 2, stride); y = np.concatenate([p[:, :, :1] + p[:, :, 1:], p[:, :, :1] - p[:, :, 1:]], 2).reshape(-1, d); stride *= 2
    return y

def signs(count, seed):
    out = []; s = seed
    for _ in range(count):
        s ^= (s << 13) & 0xffffffff; s ^= s >> 17; s ^= (s << 5) & 0xffffffff; out.append(-1 if s >> 31 else 1)
    return np.array(out, F)

def lloyd(level):
    """Four levels of the density sin(2a)^(2^(level-1) - 1) on 0 to pi/2: each the mean of what is nearest to it."""
    x, w = np.polynomial.legendre.leggauss(60); c = [0.3, 0.6, 0.9, 1.2]
    for _ in range(20000):
        edges = [0, *((a + b) / 2 for a, b in zip(c, c[1:])), math.pi / 2]; n = []
        for a, b in zip(edges, edges[1:]):
            t = (b - a) / 2 * x + (a + b) / 2; f = w * np.sin(2 * t) ** (2 ** (level - 1) - 1); n.append((t * f).sum() / f.sum())
        moved = max(abs(a - b) for a, b in zip(c, n)); c = n
        if moved < 1e-14: break
    return np.array(c)

def polar(x):
    d = x.shape[-1]; s = signs(d, 0x9e3779b9); r = transform(x.reshape(-1, d) * s).astype(float).reshape(-1, d // 16, 16); streams = {}; codes = []
    for level in range(4):
        a, b = r[..., 0::2], r[..., 1::2]; angle = np.arctan2(b, a); r = np.sqrt(a * a + b * b)
        if level == 0:
            q = np.ceil(np.where(angle < 0, angle + 2 * math.pi, angle) / (math.pi / 8) - 1).clip(0, 15).astype(int); bits = 4
        else:
            c = ANGLES[level]; h = (c[3] + c[2] - c[1] - c[0]) / 4; q = (angle[..., None] > math.pi / 4 + np.array([-h, 0, h])).sum(-1); bits = 2
        codes.append(q); streams[f"angles{level + 1}"] = pack(q.reshape(len(r), -1), bits)
    radii = half(r / math.sqrt(d)); y = radii.astype(float)
    for level in (3, 2, 1, 0):
        c = ANGLES[level][codes[level]]; y = np.stack([y * np.cos(c).astype(F).astype(float), y * np.sin(c).astype(F).astype(float)], -1).reshape(len(y), d // 16, -1)
    back = transform(y.astype(F).reshape(-1, d)) * s * F(1 / math.sqrt(d))
    return case(x, dict(streams, radii=radii), back.reshape(x.shape))

def qjl(x, count):
    d = x.shape[-1]; v = x.reshape(-1, d); s = signs(count * 3 * d, 0x85ebca6b).reshape(count, 3, d); bits = []; total = np.zeros_like(v)
    for rounds in s:
        y = v
        for sign in rounds: y = transform(y * sign)
        bits.append(y > 0); y = np.where(y > 0, F(1), F(-1))
        for sign in rounds[::-1]: y = transform(y) * sign
        total = total + y
    norms = half(np.sqrt(np.cumsum(v.astype(float) ** 2, 1)[:, -1])); f = (norms.astype(float) * (math.sqrt(math.pi / 2) / (count * d * d))).astype(F)
    return case(x, dict(codes=pack(np.concatenate(bits, 1), 1), norms=norms), (total * f[:, None]).reshape(x.shape), dict(signs=count))

def nuq(x, bits, side):
    axes = (1,) if side == "key" else (0, 2); low, high = x.min(axes, keepdims=True), x.max(axes, keepdims=True)
    s16, z16 = half((high - low) / F(2)), half((high + low) / F(2)); s, z = s16.astype(F), z16.astype(F)
    n = np.divide(x - z, s, out=np.zeros_like(x), where=s > 0); known = np.sort(n[np.broadcast_to(s > 0, n.shape)]); count = 2**bits
    sums = np.concatenate([[0.0], np.cumsum(known.astype(float))]); c = known[((2 * np.arange(count) + 1) * len(known)) // (2 * count)].astype(float); before = None
    for _ in range(50):
        ends = np.concatenate([[0], np.searchsorted(known, (c[1:] + c[:-1]) / 2, side="left"), [len(known)]])
        if before is not None and (ends == before).all(): break
        before = ends; sizes = np.diff(ends); c = np.where(sizes > 0, (sums[ends[1:]] - sums[ends[:-1]]) / np.maximum(sizes, 1), c)
    levels = half(c).astype(F); place = lambda v: np.searchsorted((levels[1:].astype(float) + levels[:-1]) / 2, v, side="right"); q = place(n); book = levels
    if bits == 2:
        last = lambda v: np.cumsum(v.astype(float))[-1]; k = known.astype(float); r = levels[place(known)].astype(float); m1, m2 = sums[-1] / len(k), last(r) / len(k)
        f = math.sqrt(last((k - m1) ** 2) / len(k)) / math.sqrt(last((r - m2) ** 2) / len(k)); book = half(levels.astype(float) * f + (m1 - m2 * f)).astype(F)
    return case(x, dict(codes=pack(q.reshape(-1, x.shape[-1]), bits), scales=s16, zeros=z16, levels=half(book)), book[q] * s + z, side=side)

def cachegen(x, bins):
    top = F(bins // 2 - 1); s16 = half(np.abs(x).max((0, 2), keepdims=True)); s = s16.astype(F)
    q = np.rint(x * np.divide(top, s, out=np.zeros_like(s), where=s > 0) + top).clip(F(0), 2 * top)
    return case(x, dict(codes=q.astype(np.uint8), scales=s16), (q - top) / top * s, dict(bins=bins))

def minmax(x, bits, group, side):
    """KIVI's integers, as make.py has them: keys by channel in groups of tokens, the last one shorter, values by token in groups of channels."""
    top = F(2**bits - 1); q, s16, z16, back = np.zeros_like(x), [], [], np.zeros_like(x)
    cuts = [np.s_[:, t:t + group, :] for t in range(0, x.shape[1], group)] if side == "key" else [np.s_[:, :, c:c + group] for c in range(0, x.shape[2], group)]
    for cut in cuts:
        g = x[cut]; axis = 1 if side == "key" else 2; low, high = g.min(axis, keepdims=True), g.max(axis, keepdims=True)
        z = half(low); s = half((high - low) / top); y = np.divide(g - z.astype(F), s.astype(F), out=np.zeros_like(g), where=s > 0)
        q[cut] = np.rint(y).clip(F(0), top); back[cut] = q[cut] * s.astype(F) + z.astype(F); s16.append(s); z16.append(z)
    join = lambda parts: np.concatenate(parts, 1 if side == "key" else 2)
    return dict(codes=pack(q.astype(int).reshape(-1, x.shape[-1]), bits), scales=join(s16), zeros=join(z16)), back

def orthonormal(a):
    q = np.zeros_like(a)
    for k in range(a.shape[1]):
        v = a[:, k].copy()
        for _ in range(2):
            for j in range(k): v = v - (v @ q[:, j]) * q[:, j]
        n = np.linalg.norm(v); q[:, k] = v / n if n > 1e-10 * np.linalg.norm(a[:, k]) else 0
    return q

def gear(x, bits, group, rank, sparse, side):
    heads, tokens, dim = x.shape; v = (x.transpose(0, 2, 1).reshape(heads * dim, tokens) if side == "key" else x.transpose(1, 0, 2).reshape(tokens, heads * dim)).astype(float)
    undo = lambda v: v.reshape(heads, dim, tokens).transpose(0, 2, 1) if side == "key" else v.reshape(tokens, heads, dim).transpose(1, 0, 2)
    n = v.shape[1] * sparse // 200; order = np.argsort(v, 1, kind="stable")[:, :n]; w = v.copy(); np.put_along_axis(w, order, np.inf, 1)
    down = np.where(np.isinf(w), np.inf, -w); places = np.concatenate([order, np.argsort(down, 1, kind="stable")[:, :n]], 1)
    kept = half(np.take_along_axis(v, places, 1)); filled = v.copy(); np.put_along_axis(filled, places, np.cumsum(v, 1)[:, -1:] / v.shape[1], 1)
    streams, back = minmax(np.ascontiguousarray(undo(filled.astype(F))), bits, group, side)
    b = back.transpose(0, 2, 1).reshape(heads * dim, tokens).copy() if side == "key" else back.transpose(1, 0, 2).reshape(tokens, heads * dim).copy()
    np.put_along_axis(b, places, kept.astype(F), 1); back = undo(b); rank = min(rank, tokens, dim); lefts, rights, out = [], [], []
    for e, y in zip(x.astype(float) - back, back):
        right = signs(dim * rank, 0xc2b2ae35).reshape(rank, dim).T.astype(float)
        for turn in range(3):
            right = orthonormal(right) if turn == 2 else right; left = e @ right
            left = orthonormal(left) if turn == 2 else left; right = e.T @ left
        left, right = half(left), half(right); z = y.astype(float)
        for k in range(rank): z = z + np.outer(left[:, k].astype(float), right[:, k].astype(float))
        lefts.append(left); rights.append(right); out.append(z.astype(F))
    streams = dict(streams, left=np.stack(lefts), right=np.stack(rights), **(dict(sparse=kept, places=places.astype(np.uint16)) if n else {}))
    return case(x, streams, np.stack(out), dict(group=group, rank=rank, sparse=sparse), side)

def clusters_of(low, high, count):
    points = np.stack([low, high], 1).astype(float); best = None
    for rank in (low, high, low.astype(float) + high, high.astype(float) - low):
        order = np.argsort(rank, kind="stable"); mean = points[order[[(2 * k + 1) * len(low) // (2 * count) for k in range(count)]]].copy(); old = None
        for _ in range(50):
            squares = ((points[:, None] - mean[None]) ** 2).sum(2); near = squares.argmin(1); spread = np.cumsum(squares.min(1))[-1]
            if old is not None and (near == old).all(): break
            old = near
            for k in set(near): mean[k] = np.cumsum(points[near == k], 0)[-1] / (near == k).sum()
        if best is None or spread < best[0]: best = (spread, near)
    return best[1]

def skvq(x, bits, group, clip, side):
    heads, tokens, dim = x.shape; count = max(1, heads * dim // group); top = F(2**bits - 1); p = F(clip / 100); fp8 = ml_dtypes.float8_e4m3fn
    flat = x.transpose(1, 0, 2).reshape(tokens, heads * dim); near = clusters_of(flat.min(0), flat.max(0), count)
    q, back = np.zeros_like(flat), np.zeros_like(flat); s8, z8 = np.zeros((tokens, count), fp8), np.zeros((tokens, count), fp8)
    for t in range(tokens):
        for k in set(near):
            own = flat[t, near == k]; z = own.min() * p; s = max((own.max() * p - z) / top, F(1e-5)); s8[t, k], z8[t, k] = fp8(s), fp8(z)
            q[t, near == k] = np.rint(((own - z) / s).clip(F(0), top)); back[t, near == k] = q[t, near == k] * s8[t, k].astype(F) + z8[t, k].astype(F)
    undo = lambda v: v.reshape(tokens, heads, dim).transpose(1, 0, 2)
    return case(x, dict(codes=pack(undo(q).astype(int), bits), scales=s8, zeros=z8, clusters=near.astype(np.uint16)), undo(back), dict(groupSize=group, clip=clip), side)

def write(name, cases):
    with open(os.path.join(HERE, name + ".json"), "w") as f: json.dump(cases, f, indent=1); f.write("\n")

ANGLES = [(np.arange(16) + 0.5) * math.pi / 8] + [lloyd(level) for level in (2, 3, 4)]
write("polar", [polar(rows(dim, seed, 3e3)) for dim, seed in ((64, 60), (16, 61), (128, 62))])
write("qjl", [qjl(rows(dim, seed, 3e3), count) for dim, seed, count in ((64, 63, 2), (16, 64, 1), (128, 65, 3))])
for bits in (2, 3, 4): write(f"nuq{bits}", [nuq(rows(dim, 66 + bits), bits, side) for dim, side in ((64, "key"), (32, "value"), (16, "key"), (64, "value"))])
write("cachegen", [cachegen(rows(dim, seed), bins) for dim, seed, bins in ((64, 70, 32), (80, 71, 16), (32, 72, 256))])
for bits in (2, 4): write(f"gear{bits}", [gear(rows(dim, 80 + bits), bits, group, rank, sparse, side) for dim, group, rank, sparse, side in ((64, 64, 2, 25, "key"), (64, 32, 4, 2, "value"), (32, 16, 1, 0, "key"), (32, 16, 3, 10, "value"))])
for bits in (2, 3, 4): write(f"skvq{bits}", [skvq(rows(dim, 90 + bits, 400), bits, group, clip, side) for dim, group, clip, side in ((64, 64, 96, "key"), (64, 16, 100, "value"), (32, 32, 90, "key"))])
