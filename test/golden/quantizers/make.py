#!/usr/bin/env python3
"""Fixtures of every quantizer, by arithmetic that is not ours. Run once, by hand; the outputs are committed.

  pip install numpy ml_dtypes gguf        (made with numpy 2.4.6, ml_dtypes 0.6.0, gguf 0.19.0)
  python test/golden/quantizers/make.py ../shared/fixtures/ggml/ggml.safetensors

Here: one JSON per quantizer, a list of cases {params, shape, values, streams, decoded}; arrays are base64 of little-endian bytes, F32 for
`values` and `decoded`. Integers: numpy F32, each operation rounded. FP8, BF16: ml_dtypes. ggml blocks and MXFP4: gguf-py. NVFP4: gguf-py's scales and
decoder around a search of all codes. iq4_nl, NF4, TurboQuant: numpy, from ggml-quants.c and the papers.
In ../ggml: the parts we need of the ggml C library's own outputs, x, blocks and decoded values of six cache types.
"""
import base64, json, math, os, struct, sys
import numpy as np, ml_dtypes, gguf

HERE = os.path.dirname(os.path.abspath(__file__))
F = np.float32

def rows(dim, seed):
    """16 rows of what goes wrong, [2, 8, dim] F32."""
    r = np.random.default_rng(seed); n = lambda: r.standard_normal(dim).astype(F); i = np.arange(dim)
    spiky = n(); spiky[[5, dim // 2 + 3]] *= F(20)
    sparse = np.zeros(dim, F); sparse[dim // 3] = F(-3.25)
    return np.stack([
        n(), n() * F(0.01), spiky, n() + F(100),
        np.zeros(dim, F), np.full(dim, 1.5, F), np.full(dim, -0.7, F), np.where(i % 2 == 0, F(1), F(-1)),
        ((i % 31) - 15).astype(F) / F(2), ((i % 255) - 127).astype(F), sparse, np.abs(n()) + F(0.5),
        r.uniform(-6e4, 6e4, dim).astype(F), n() * F(1e-6), n() * F(1e-8), n() * F(1e-40),
    ]).reshape(2, 8, dim)

def b64(a): return base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()

def case(x, streams, decoded, params={}, dtype="F32"):
    heads, tokens, dim = x.shape
    return dict(params=params, shape=dict(kvHeads=heads, tokens=tokens, headDim=dim, dtype=dtype), values=b64(x.astype(F)),
                streams={k: b64(v) for k, v in streams.items()}, decoded=b64(decoded.astype(F)))

def pack(codes, bits):
    """Little-endian bit string: element i at bit bits * i."""
    planes = (codes.reshape(-1, 1).astype(np.uint16) >> np.arange(bits)) & 1
    return np.packbits(planes.reshape(-1).astype(np.uint8), bitorder="little")

def integer(x, bits, group, asym):
    g = x.reshape(-1, group); half = lambda v: v.astype(np.float16)
    top = F(2**bits - 1 if asym else 2**(bits - 1) - 1)
    z16 = half(g.min(1, keepdims=True)) if asym else half(np.zeros((len(g), 1), F)); z = z16.astype(F)
    s16 = half((g.max(1, keepdims=True) - g.min(1, keepdims=True)) / top if asym else np.abs(g).max(1, keepdims=True) / top); s = s16.astype(F)
    y = np.divide(g - z if asym else g, s, out=np.zeros_like(g), where=s > 0)
    q = np.rint(y).clip(F(0) if asym else -top, top)
    streams = dict(codes=pack((q if asym else q + top).astype(int), bits), scales=s16, **(dict(zeros=z16) if asym else {}))
    return case(x, streams, (q * s + z).reshape(x.shape), dict(groupSize=group, asym=asym))

def by_channel(x, bits, group, asym):
    """Groups of tokens of one channel of a head, the last one shorter: each head transposed, its columns cut."""
    heads, tokens, dim = x.shape; cut = range(0, tokens, group)
    parts = [[integer(np.ascontiguousarray(x[h, t:t + group].T)[None], bits, len(x[h, t:t + group]), asym) for t in cut] for h in range(heads)]
    read = lambda p, name, dtype: np.frombuffer(base64.b64decode(p["streams"][name]), dtype)
    def codes(p, n):
        planes = np.unpackbits(read(p, "codes", np.uint8), bitorder="little")[:dim * n * bits].reshape(dim, n, bits)
        return (planes << np.arange(bits)).sum(2).T
    q = np.concatenate([codes(p, min(group, tokens - t)) for head in parts for t, p in zip(cut, head)])
    back = np.concatenate([np.frombuffer(base64.b64decode(p["decoded"]), F).reshape(dim, -1).T for head in parts for p in head]).reshape(x.shape)
    streams = dict(codes=pack(q, bits), **{name: np.concatenate([read(p, name, np.float16) for head in parts for p in head]) for name in ("scales", *(("zeros",) if asym else ()))})
    return case(x, streams, back, dict(groupSize=group, asym=asym, axisChannel=True))

def kivi(x, bits, group, side):
    made = by_channel(x, bits, group, True) if side == "key" else integer(x, bits, group, True)
    return dict(made, params=dict(group=group), shape=dict(made["shape"], side=side))

def ggml_blocks(x, name):
    x[1, 7] = x[0, 0] * F(3)                             # 1 / d overflows for F32 subnormals, which C leaves undefined
    t = gguf.GGMLQuantizationType[name.upper()]; blocks = gguf.quantize(x.reshape(-1, x.shape[-1]), t)
    return case(x, dict(blocks=blocks), gguf.dequantize(blocks, t).reshape(x.shape))

def ties(bits, affine, seed):
    """Rows of 64 near the middle between two codes, a few ulps to either side: where it shows that each operation is rounded to F32."""
    r = np.random.default_rng(seed); x = np.empty((2, 24, 64), F)
    for row in x.reshape(-1, 32):
        d = F(2.0 ** r.uniform(-6, 6)); top = 2**bits - 1 if affine else 2**(bits - 1)
        v = ((r.integers(0 if affine else -top + 1, top, 32) + 0.5) * d).astype(F)
        for _ in range(2): v = np.where(r.random(32) < 0.5, v, np.nextafter(v, F(r.choice([-1e9, 1e9]))))
        v[0], v[1] = (F(0), F(top * d)) if affine else (F(-top * d), F(0))
        row[:] = v + F(r.uniform(-3, 3)) if affine and r.random() < 0.8 else v
    return x

def ggml_c(x, name):
    """ggml-quants.c, line by line in numpy F32 (no fused multiply-add, as its reference routines are built)."""
    bits, affine = int(name[1]), name[3] == "1"; b = x.reshape(-1, 32); half = lambda v: v.astype(np.float16)
    inverse = lambda d: np.divide(F(1), d, out=np.zeros_like(d), where=d != 0); out = []
    if name == "q8_0":
        d = np.abs(b).max(1, keepdims=True) / F(127); y = b * inverse(d)
        q = np.where(y < 0, np.ceil(y.astype(np.float64) - 0.5), np.floor(y.astype(np.float64) + 0.5))
        out = [half(d).view(np.uint8), q.astype(np.int8).view(np.uint8)]; back = q.astype(np.int8).astype(F) * half(d).astype(F)
    else:
        m = b.min(1, keepdims=True) if affine else np.zeros((len(b), 1), F); mid = 0 if affine else 2**(bits - 1)
        d = (b.max(1, keepdims=True) - m) / F(2**bits - 1) if affine else np.take_along_axis(b, np.abs(b).argmax(1)[:, None], 1) / F(-mid)
        q = np.minimum(np.trunc((b - m) * inverse(d) + F(mid + 0.5)), 2**bits - 1).astype(np.uint8)
        out = [half(d).view(np.uint8)] + ([half(m).view(np.uint8)] if affine else [])
        if bits == 5: out.append(np.packbits(q >> 4, axis=1, bitorder="little"))
        out.append((q[:, :16] & 15) | (q[:, 16:] << 4)); back = (q.astype(F) - F(mid)) * half(d).astype(F) + (half(m).astype(F) if affine else F(0))
    return case(x, dict(blocks=np.concatenate(out, 1)), back.reshape(x.shape))

def iq4_nl(x):
    """quantize_row_iq4_nl_ref with ntry = -1, in numpy F32: sums in order, the scale refitted once, codes as they were."""
    kv = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], F); b = x.reshape(-1, 32)
    big = np.take_along_axis(b, np.abs(b).argmax(1)[:, None], 1); tiny = np.abs(big) < F(1e-15)
    al = np.where(tiny, F(0), b * (F(1) / (np.where(tiny, F(1), big) / kv[0])))
    up = np.searchsorted(kv, al, side="right").clip(1, 15); q = np.where(al - kv[up - 1] < kv[up] - al, up - 1, up)
    wq = (b * b) * kv[q]; qx = np.zeros(len(b), F); q2 = np.zeros(len(b), F)
    for j in range(32): qx = qx + wq[:, j] * b[:, j]; q2 = q2 + wq[:, j] * kv[q[:, j]]
    d = np.where(tiny[:, 0], F(0), qx / np.where(tiny[:, 0], F(1), q2)).astype(np.float16)[:, None]
    return case(x, dict(blocks=np.concatenate([d.view(np.uint8), (q[:, :16] | (q[:, 16:] << 4)).astype(np.uint8)], 1)), (kv[q] * d.astype(F)).reshape(x.shape))

def nvfp4(x, four_over_six):
    """ggml's block of 64; by squared error in F64 for 4over6. The first of equally near codes, as argmin finds it."""
    t = gguf.quants.NVFP4; kv = np.array(t.kvalues, F); b = x.reshape(-1, 16); options = []
    for top in (6, 4) if four_over_six else (6,):
        u = t.fp32_to_ue4m3(np.abs(b).max(1) / F(top)); d = t.ue4m3_to_fp32(u).astype(F)[:, None]
        q = np.abs(d[:, :, None] * kv - b[:, :, None]).argmin(2); options.append((((b.astype(float) - d * kv[q])**2).sum(1), u, q))
    pick = np.argmin([e for e, _, _ in options], 0); r = np.arange(len(b))
    u = np.stack([u for _, u, _ in options])[pick, r].reshape(-1, 4); q = np.stack([q for _, _, q in options])[pick, r].astype(np.uint8)
    blocks = np.concatenate([u, (q[:, :8] | (q[:, 8:] << 4)).reshape(-1, 32)], 1)
    return case(x, dict(blocks=blocks), t.dequantize_blocks(blocks).reshape(x.shape), dict(fourOverSix=four_over_six))

def nf4(x, group):
    t = np.array([-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
                  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1], F)
    g = x.reshape(-1, group); s16 = np.abs(g).max(1, keepdims=True).astype(np.float16); s = s16.astype(F)
    y = np.divide(g, s, out=np.zeros_like(g), where=s > 0); q = np.abs(y[:, :, None].astype(float) - t.astype(float)).argmin(2)
    return case(x, dict(codes=pack(q, 4), scales=s16), (t[q] * s).reshape(x.shape), dict(groupSize=group))

def rotate(y):
    """Sylvester's Walsh-Hadamard transform of the last axis, in F32, from stride 1 upwards."""
    d = y.shape[-1]; stride = 1
    while stride < d:
        p = y.reshape(-1, d // (2 * stride), 2, stride); y = np.concatenate([p[:, :, :1] + p[:, :, 1:], p[:, :, :1] - p[:, :, 1:]], 2).reshape(-1, d); stride *= 2
    return y

def lloyd_max(bits):
    """Levels of N(0, 1): each the mean of what is nearest to it, until they stand still."""
    pdf = lambda v: math.exp(-v * v / 2) / math.sqrt(2 * math.pi); cdf = lambda v: (1 + math.erf(v / math.sqrt(2))) / 2
    c = list(np.linspace(0.2, 2.5, 2**(bits - 1)))
    for _ in range(5000):
        e = [0, *((l + r) / 2 for l, r in zip(c, c[1:])), 40]
        c = [(pdf(l) - pdf(r)) / (cdf(r) - cdf(l)) for l, r in zip(e, e[1:])]
    return np.array([-v for v in reversed(c)] + c).astype(F)

def turbo(x, bits, corrected):
    c = LEVELS[bits]; d = x.shape[-1]; b = x.reshape(-1, d); n = np.sqrt((b.astype(float)**2).sum(1, keepdims=True)).astype(F); n16 = n.astype(np.float16)
    t = rotate(b) * np.divide(F(1), n, out=np.zeros_like(n), where=n16 > 0)
    q = (t[:, :, None] >= ((c[1:].astype(float) + c[:-1]) / 2).astype(F)).sum(2); y = c[q]
    f = (n16.astype(float) / (np.sqrt(d * (y.astype(float)**2).sum(1, keepdims=True)) if corrected else d)).astype(F)
    return case(x, dict(codes=pack(q, bits), norms=n16), (rotate(y) * f).reshape(x.shape), dict(normCorrection=corrected))

def scaled(x, at, factor):
    x[at] *= F(factor); return x

def fp8(x, dtype, top):
    codes = x.clip(F(-top), F(top)).astype(dtype)
    return case(x, dict(codes=codes), codes.astype(F))

def none(x, dtype, type_):
    y = x.astype(type_)
    return case(y.astype(F), dict(values=y), y.astype(F), dtype=dtype)

def write(name, cases):
    with open(os.path.join(HERE, name + ".json"), "w") as f: json.dump(cases, f, indent=1); f.write("\n")

def ggml_subset(path):
    data = open(path, "rb").read(); n = struct.unpack("<Q", data[:8])[0]; header = json.loads(data[8:8 + n])
    keep = [k for k in header if k.endswith(".x") or (".ref." in k and any(f".{t}." in k for t in ("q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl")))]
    out, body = {}, b""
    for k in keep:
        b, e = header[k]["data_offsets"]; out[k] = dict(header[k], data_offsets=[len(body), len(body) + e - b]); body += data[8 + n + b:8 + n + e]
    text = json.dumps(out).encode(); text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, "../ggml/ggml.safetensors"), "wb") as f: f.write(struct.pack("<Q", len(text)) + text + body)

np.seterr(divide="ignore", invalid="ignore")
for bits in range(2, 9):
    write(f"int{bits}", [integer(rows(64, bits), bits, 64, False), integer(rows(64, bits), bits, 32, True), integer(rows(80, bits), bits, 16, False), integer(rows(128, bits), bits, 128, True),
        by_channel(rows(32, bits), bits, 16, False), by_channel(rows(80, bits), bits, 3, True)])
for bits in (2, 4): write(f"kivi{bits}", [kivi(rows(64, 50 + bits), bits, group, side) for side, group in (("key", 4), ("value", 32), ("key", 8), ("value", 64))])
for i, name in enumerate(("q8_0", "q4_0", "q4_1", "q5_0", "q5_1")):
    peer = [ggml_blocks(rows(64, 7), name), ggml_blocks(rows(128, 8), name)]
    assert all(ggml_c(np.frombuffer(base64.b64decode(c["values"]), F).reshape(2, 8, -1), name)["streams"] == c["streams"] for c in peer), name
    write(name, peer + [ggml_c(ties(int(name[1]), name[3] == "1", 20 + i), name)])
write("fp8-e4m3", [fp8(x, ml_dtypes.float8_e4m3fn, 448) for x in (rows(64, 9), rows(80, 10) * F(0.01))])
write("fp8-e5m2", [fp8(x, ml_dtypes.float8_e5m2, 57344) for x in (rows(64, 9), rows(80, 10) * F(1e-4))])
write("iq4_nl", [iq4_nl(rows(64, 30)), iq4_nl(rows(128, 31)), iq4_nl(ties(4, False, 32))])
# What is below 2^-125 wraps around in gguf-py; ties of E2M1 are quarters.
write("mxfp4", [ggml_blocks(rows(64, 33), "mxfp4"), ggml_blocks(rows(128, 34), "mxfp4"), ggml_blocks(np.round(rows(64, 35) * F(8)) / F(4), "mxfp4")])
write("nvfp4", [nvfp4(x, better) for x in (scaled(rows(64, 36), (1, 4), 0.04), scaled(rows(128, 37), (1, 4), 0.04), np.round(scaled(rows(64, 38), (1, 4), 0.02) * F(8)) / F(4)) for better in (False, True)])
write("nf4", [nf4(rows(64, 39), 64), nf4(rows(80, 40), 16), nf4(rows(128, 41), 32)])
LEVELS = {bits: lloyd_max(bits) for bits in (2, 3, 4)}
for bits in LEVELS: write(f"turbo{bits}", [turbo(scaled(rows(dim, 42 + bits), (1, 4), 0.05), bits, corrected) for dim, corrected in ((64, False), (32, True), (128, True))])
write("none", [none(rows(32, 11), "F32", F), none(rows(32, 12), "F16", np.float16), none(rows(32, 13), "BF16", ml_dtypes.bfloat16)])
ggml_subset(sys.argv[1])
