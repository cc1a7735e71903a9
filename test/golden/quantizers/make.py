#!/usr/bin/env python3
"""Fixtures of every quantizer, by arithmetic that is not ours. Run once, by hand; the outputs are committed.

  pip install numpy ml_dtypes gguf        (made with numpy 2.4.6, ml_dtypes 0.6.0, gguf 0.19.0)
  python test/golden/quantizers/make.py ../shared/fixtures/ggml/ggml.safetensors

Here: one JSON per quantizer, a list of cases {params, shape, values, streams, decoded}; arrays are base64 of little-endian bytes, F32 for
`values` and `decoded`. Integers: numpy F32, each operation rounded. FP8, BF16: ml_dtypes. ggml blocks: gguf-py.
In ../ggml: the parts we need of the ggml C library's own outputs, x, blocks and decoded values of five cache types.
"""
import base64, json, os, struct, sys
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

def fp8(x):
    codes = x.clip(F(-448), F(448)).astype(ml_dtypes.float8_e4m3fn)
    return case(x, dict(codes=codes), codes.astype(F))

def none(x, dtype, type_):
    y = x.astype(type_)
    return case(y.astype(F), dict(values=y), y.astype(F), dtype=dtype)

def write(name, cases):
    with open(os.path.join(HERE, name + ".json"), "w") as f: json.dump(cases, f, indent=1); f.write("\n")

def ggml_subset(path):
    data = open(path, "rb").read(); n = struct.unpack("<Q", data[:8])[0]; header = json.loads(data[8:8 + n])
    keep = [k for k in header if k.endswith(".x") or (".ref." in k and any(f".{t}." in k for t in ("q8_0", "q4_0", "q4_1", "q5_0", "q5_1")))]
    out, body = {}, b""
    for k in keep:
        b, e = header[k]["data_offsets"]; out[k] = dict(header[k], data_offsets=[len(body), len(body) + e - b]); body += data[8 + n + b:8 + n + e]
    text = json.dumps(out).encode(); text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, "../ggml/ggml.safetensors"), "wb") as f: f.write(struct.pack("<Q", len(text)) + text + body)

np.seterr(divide="ignore", invalid="ignore")
for bits in range(2, 9):
    write(f"int{bits}", [integer(rows(64, bits), bits, 64, False), integer(rows(64, bits), bits, 32, True), integer(rows(80, bits), bits, 16, False), integer(rows(128, bits), bits, 128, True)])
for i, name in enumerate(("q8_0", "q4_0", "q4_1", "q5_0", "q5_1")):
    peer = [ggml_blocks(rows(64, 7), name), ggml_blocks(rows(128, 8), name)]
    assert all(ggml_c(np.frombuffer(base64.b64decode(c["values"]), F).reshape(2, 8, -1), name)["streams"] == c["streams"] for c in peer), name
    write(name, peer + [ggml_c(ties(int(name[1]), name[3] == "1", 20 + i), name)])
write("fp8-e4m3", [fp8(rows(64, 9)), fp8(rows(80, 10) * F(0.01))])
write("none", [none(rows(32, 11), "F32", F), none(rows(32, 12), "F16", np.float16), none(rows(32, 13), "BF16", ml_dtypes.bfloat16)])
ggml_subset(sys.argv[1])
