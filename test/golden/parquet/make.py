"""Tables of texts in every codec, encoding and page version that pyarrow writes, all with the same rows.

Run in this folder with pyarrow 26.0.1; rows.json holds what a reader must give for the column `text` (null: no value)."""
import json

import pyarrow as pa
import pyarrow.parquet as pq

texts = ["", "one line\n", "two\n\nparagraphs", None, "ümläut, 漢字, 🐋", "prefix of many", "prefix of more", None, "prefix of", 'quotes " and , commas', "\u2028"]
texts += [f"row {i} " + "word " * (i % 23) for i in range(90)]
rows = [texts[(7 * i) % len(texts)] for i in range(len(texts))]
table = pa.table(
    {
        "id": pa.array(range(len(rows)), pa.int64()),
        "title": pa.array([f"title {i % 3}" for i in range(len(rows))], pa.string()),
        "text": pa.array(rows, pa.string()),
        "tags": pa.array([["a", "b"][: i % 3] for i in range(len(rows))], pa.list_(pa.string())),
    },
    schema=pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("title", pa.string(), nullable=False), pa.field("text", pa.string()), pa.field("tags", pa.list_(pa.string()))]),
)
json.dump(rows, open("rows.json", "w"), ensure_ascii=False)
for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]:
    pq.write_table(table, f"codec-{codec}.parquet", compression=codec, row_group_size=40, store_schema=False, write_statistics=False)
for version in ["1.0", "2.0"]:
    for encoding in ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", None]:
        name = f"v{version[0]}-{(encoding or 'dictionary').lower()}.parquet"
        how = {"use_dictionary": True} if encoding is None else {"use_dictionary": False, "column_encoding": {"title": encoding, "text": encoding}}
        pq.write_table(table, name, compression="snappy", data_page_version=version, data_page_size=500, write_batch_size=16, store_schema=False, write_page_checksum=True, **how)
