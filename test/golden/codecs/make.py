#!/usr/bin/env python3
"""Raw DEFLATE by zlib, Zstandard frames by the reference library and rANS streams by the text of docs/kv-file.md, of the raw bytes in ../lz4.  pip install zstandard"""
import pathlib, zlib
import zstandard

here = pathlib.Path(__file__).parent
for name in ["empty", "outlier-channels", "nibbles", "repeats"]:
    raw = (here.parent / "lz4" / f"{name}.raw").read_bytes()
    for level in [1, 6, 9]:
        work = zlib.compressobj(level, zlib.DEFLATED, -15)
        (here / f"{name}.{level}.deflate").write_bytes(work.compress(raw) + work.flush())
    for level in [1, 3, 19]:
        (here / f"{name}.{level}.zstd").write_bytes(zstandard.ZstdCompressor(level=level).compress(raw))

raw = (here.parent / "lz4" / "repeats.raw").read_bytes()
(here / "repeats.checksum.zstd").write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(raw))
# Valid, and not ours to read: without a content size, two in a row, with a window of 64 MiB.
(here / "unsized.refused").write_bytes(zstandard.ZstdCompressor(write_content_size=False).compress(raw))
(here / "two-frames.refused").write_bytes(zstandard.ZstdCompressor().compress(raw) * 2)
wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=26)
work = zstandard.ZstdCompressor(compression_params=wide).compressobj(size=2 ** 27)
(here / "window.refused").write_bytes(work.compress(bytes(2 ** 27)) + work.flush())


def rans(raw, parts):
    """Our rANS stream as docs/kv-file.md describes it; frequencies are rounded another way than ours."""
    tables, bits = [], ""
    for part in range(parts):
        counts = [raw[part::parts].count(bytes([s])) for s in range(256)]
        table = [max(1, c * 3800 // sum(counts)) if c else 0 for c in counts]
        table[(counts.index(max(counts)) + 1) % 256] += 1
        table[counts.index(max(counts))] += 4096 - sum(table)
        bits += "0011" + "".join("0" * ((f + 8).bit_length() - 4) + format(f + 8, "b") for f in table)
        tables.append(table)
    states, words = [1 << 16] * 4, []
    for part in reversed(range(parts)):
        table, symbols = tables[part], raw[part::parts]
        for i in reversed(range(len(symbols))):
            f, x = table[symbols[i]], states[i % 4]
            if x >= f << 20:
                words.append(x & 0xFFFF)
                x >>= 16
            states[i % 4] = x // f * 4096 + sum(table[: symbols[i]]) + x % f
    bits += "0" * (-len(bits) % 8)
    head = bytes([parts - 1]) + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return head + b"".join(x.to_bytes(4, "little") for x in states) + b"".join(w.to_bytes(2, "little") for w in reversed(words))


for name, parts in [("nibbles", 1), ("outlier-channels", 4), ("scales-f16", 2)]:
    (here / f"{name}.{parts}.rans").write_bytes(rans((here.parent / "lz4" / f"{name}.raw").read_bytes(), parts))
