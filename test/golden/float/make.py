#!/usr/bin/env python3
"""Conversions of F32 to the small floats by numpy and ml_dtypes, as JSON beside this script.  pip install numpy ml_dtypes

Numbers are the F32 bit patterns asked for and, per format, the bits that came out; `decode` has the F32 bits of every pattern of the
8-bit formats, and a SHA-256 over the little-endian F32 of all patterns of the 16-bit ones. NaNs are written as the format's positive
quiet NaN (F32: 0x7fc00000). ml_dtypes gives NaN where F8 E4M3 overflows: its values are clamped to +-448 first, which is the saturating rule.
"""
import hashlib, json, os
import numpy as np, ml_dtypes

here = os.path.dirname(os.path.abspath(__file__))
formats = {  # name: (dtype, bits type, quiet NaN)
    "F16": (np.float16, np.uint16, 0x7E00),
    "BF16": (ml_dtypes.bfloat16, np.uint16, 0x7FC0),
    "F8_E4M3": (ml_dtypes.float8_e4m3fn, np.uint8, 0x7F),
    "F8_E5M2": (ml_dtypes.float8_e5m2, np.uint8, 0x7E),
}


def interesting(dtype, bits_type):
    """F32 values at, just below and just above every tie between neighbours of a format (a sample of them for 16 bits), and its values."""
    codes = np.arange(2 ** (8 * np.dtype(bits_type).itemsize - 1), dtype=bits_type)
    if len(codes) > 256:
        codes = codes[np.r_[0:8, 0x3F8:0x408, 0x7FC:0x804, 4096:len(codes):1031, -8:0]]
        codes = np.unique(np.r_[codes, codes + 1]).astype(bits_type)
    values = codes.view(dtype).astype(np.float64)
    values = np.sort(values[np.isfinite(values)])
    ties = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    return np.r_[values.astype(np.float32), ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf))]


rng = np.random.default_rng(5)
special = np.array([0, 1, 65504, 65519.996, 65520, 65536, 448, 464, 480, 57344, 61440, 3.4e38, 1e-45, 1e-40, np.inf, np.nan], np.float32)
x = np.concatenate([special] + [interesting(d, b) for d, b, _ in formats.values()] + [rng.integers(0, 2**31, 400, dtype=np.uint32).view(np.float32)])
x = np.unique(np.r_[x, -x].view(np.uint32)).view(np.float32)
x = x[~np.isnan(x) | (x.view(np.uint32) == 0x7FC00000)]

out = {"source": f"numpy {np.__version__}, ml_dtypes {ml_dtypes.__version__}", "f32": x.view(np.uint32).tolist(), "encode": {}, "decode": {}, "decodeSha256": {}}
with np.errstate(all="ignore"):
    for name, (dtype, bits_type, nan) in formats.items():
        y = np.clip(x, -448, 448) if name == "F8_E4M3" else x
        bits = y.astype(dtype).view(bits_type)
        out["encode"][name] = np.where(np.isnan(x), nan, bits).tolist()
        values = np.arange(2 ** (8 * np.dtype(bits_type).itemsize), dtype=np.uint64).astype(bits_type).view(dtype).astype(np.float32)
        words = np.where(np.isnan(values), 0x7FC00000, values.view(np.uint32)).astype("<u4")
        if bits_type is np.uint8:
            out["decode"][name] = words.tolist()
        else:
            out["decodeSha256"][name] = hashlib.sha256(words.tobytes()).hexdigest()
json.dump(out, open(os.path.join(here, "float.json"), "w"), separators=(",", ":"))
print(len(x), "values")
