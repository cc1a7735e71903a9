#!/usr/bin/env python3
"""KV files written by an independent hand from docs/kv-file.md, with the cache that went in and the values that must come out.
Uses numpy, and the reference xxHash and LZ4 libraries; shares no code with kvlab.  pip install numpy xxhash lz4 safetensors"""
import json, struct
import lz4.block, numpy as np, xxhash
from safetensors import deserialize

RANK = {"F32": 3, "BF16": 2, "F16": 1, "U8": 0}  # larger alignment first, as safetensors orders dtypes
f32 = np.float32


def int_symmetric(x, bits, group):
    """x [..., headDim] -> codes U8, scales F16, decoded F32."""
    top = 2 ** (bits - 1) - 1
    g = x.reshape(*x.shape[:-1], -1, group)
    scales = (np.abs(g).max(-1) / f32(top)).astype(np.float16)
    s = scales.astype(f32)[..., None]
    q = np.where(s == 0, 0, np.clip(np.rint(np.divide(g, s, out=np.zeros_like(g), where=s != 0)), -top, top)).astype(int)
    return pack(q.reshape(x.shape) + top, bits), scales, (q.astype(f32) * s).reshape(x.shape)


def int_asymmetric(x, bits, group):
    top = 2**bits - 1
    g = x.reshape(*x.shape[:-1], -1, group)
    zeros = g.min(-1).astype(np.float16)
    scales = ((g.max(-1) - g.min(-1)) / f32(top)).astype(np.float16)
    s, z = scales.astype(f32)[..., None], zeros.astype(f32)[..., None]
    q = np.clip(np.rint(np.divide(g - z, s, out=np.zeros_like(g), where=s != 0)), 0, top).astype(int)
    return pack(q.reshape(x.shape), bits), scales, zeros, (q.astype(f32) * s + z).reshape(x.shape)


def pack(codes, bits):
    """Little-endian bit string along the last axis: code i at bit i * bits."""
    width = (codes[..., None] >> np.arange(bits)) & 1
    return np.packbits(width.reshape(*codes.shape[:-1], -1).astype(np.uint8), axis=-1, bitorder="little")


def bf16(x):
    return (np.ascontiguousarray(x, f32).view(np.uint32) >> 16).astype(np.uint16)


def own(x, dtype):
    return {"F32": lambda: x.astype("<f4"), "F16": lambda: x.astype("<f2"), "BF16": lambda: bf16(x)}[dtype]()


def write(name, method, cache, dtype, streams, codec, about=()):
    layers, heads, tokens, dim = cache["key"].shape
    records, tensors = {}, {}
    for key, (kind, array) in streams.items():
        raw = array.tobytes()
        record = {"rawBytes": len(raw), "codec": "raw", "xxh64": xxhash.xxh64_hexdigest(raw)}
        tensors[key] = (kind, list(array.shape), raw)
        coded = lz4.block.compress(raw, store_size=False) if codec == "lz4" else raw
        if len(coded) < len(raw):
            record |= {"codec": codec, "storedXxh64": xxhash.xxh64_hexdigest(coded)}
            tensors[key] = ("U8", [len(coded)], coded)
        records[key] = record
    metadata = {
        "checksum": "0" * 16, "format": "kvlab.kv", "version": "1", "method": method, "layers": str(layers), "kvHeads": str(heads), "tokens": str(tokens),
        "headDim": str(dim), "dtype": dtype, "streams": json.dumps(records, separators=(",", ":")), **dict(about),
    }
    header, data = {"__metadata__": metadata}, b""
    for key in sorted(tensors, key=lambda key: (-RANK[tensors[key][0]], key)):
        kind, shape, stored = tensors[key]
        header[key] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(stored)]}
        data += stored
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    head = struct.pack("<Q", len(text)) + text
    at = head.index(b'"checksum":"') + len('"checksum":"')
    head = head[:at] + xxhash.xxh64_hexdigest(head).encode() + head[at + 16 :]
    deserialize(head + data)
    open(name + ".safetensors", "wb").write(head + data)


def numbers(sides):
    return {side: [[float(v) for v in layer.astype(f32).ravel()] for layer in sides[side]] for side in ("key", "value")}


r = np.random.default_rng(20)
values = {}


def note(name, method, dtype, cache, decoded, about=()):
    layers, kvHeads, tokens, headDim = cache["key"].shape
    shape = {"layers": layers, "kvHeads": kvHeads, "tokens": tokens, "headDim": headDim, "dtype": dtype}
    values[name] = {"method": method, "shape": shape, "about": dict(about), "cache": numbers(cache), "decoded": numbers(decoded)}


# 1. Integers of 4 and 3 bits, keys and values apart, every layer compressed.
cache = {side: r.normal(0, 1, (2, 2, 3, 32)).astype(f32) for side in ("key", "value")}
kc, ks, kd = int_symmetric(cache["key"], 4, 32)
vc, vs, vz, vd = int_asymmetric(cache["value"], 3, 16)
method, about = "int4:g32/int3:g16:asym", {"model": 'tiny "ü" \\ 漢', "tokenIdsSha256": "0123456789abcdef" * 4}
write("int4-int3-asym", method, cache, "F32", {"key.codes": ("U8", kc), "key.scales": ("F16", ks), "value.codes": ("U8", vc), "value.scales": ("F16", vs), "value.zeros": ("F16", vz)}, "raw", about.items())
note("int4-int3-asym", method, "F32", cache, {"key": kd, "value": vd}, about.items())

# 2. Kept first and last tokens and a kept layer, F16, coded by LZ4: repeated rows, so that some streams get smaller and some do not.
rows = r.normal(0, 2, (3, 1, 2, 16)).astype(np.float16).astype(f32)
cache = {"key": np.tile(rows, (1, 1, 10, 1)), "value": r.normal(0, 1, (3, 1, 20, 16)).astype(np.float16).astype(f32)}
streams, decoded = {}, {}
for side in ("key", "value"):
    x = cache[side]
    codes, scales, middle = int_symmetric(x[:2, :, 2:17], 8, 16)
    streams |= {f"{side}.codes": ("U8", codes), f"{side}.scales": ("F16", scales), f"{side}.sinks": ("F16", own(x[:2, :, :2], "F16"))}
    streams |= {f"{side}.recent": ("F16", own(x[:2, :, 17:], "F16")), f"{side}.layers": ("F16", own(x[2:], "F16"))}
    decoded[side] = x.copy()
    decoded[side][:2, :, 2:17] = middle
method = "int8:g16@sinks2@recent3@layers-1+lz4"
write("int8-kept-lz4", method, cache, "F16", streams, "lz4")
note("int8-kept-lz4", method, "F16", cache, decoded)

# 3. The cache itself, BF16 keys and values with the edges of the format.
edges = np.array([0.0, -0.0, 1.0, -1.0, 2.0**-126, 2.0**-133, -(2.0**-133), 3.3895313892515355e38], f32)
x = (r.normal(0, 1, (1, 2, 2, 8)).astype(f32).view(np.uint32) & 0xFFFF0000).view(f32)
x[0, 0, 0] = edges
cache = {"key": x, "value": -x}
write("none-bf16", "none", cache, "BF16", {f"{side}.values": ("BF16", own(cache[side], "BF16")) for side in cache}, "raw")
note("none-bf16", "none", "BF16", cache, cache)

json.dump(values, open("values.json", "w"), ensure_ascii=False, separators=(",", ":"))
