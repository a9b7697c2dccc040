"""Make the test vector of the encodings file, format 1, with pprl.

    python tests/golden/make_encodings_vector.py

Not to be run again unless the format gets a new number: files out there hold these bits. The
second implementation, tests/independent.py, checks what stands in them.
"""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

import pprl

HERE = Path(__file__).parent
KEY = bytes(range(32))
SCHEMA = {
    "version": 1,
    "name": "test vector",
    "bits": 128,
    "hardening": {"method": "diffusion", "t": 5, "filter_bits": 256},
    "presence_mask": True,
    "fields": [
        {"name": "surname", "tokens": {"type": "ngram", "n": 2}, "bits_per_feature": 31},
        {"name": "given", "tokens": {"type": "ngram", "n": 3}, "bits_per_feature": 20},
        {
            "name": "born",
            "tokens": {"type": "ngram", "n": 2, "positional": True},
            "bits_per_feature": 40,
        },
        {"name": "sex", "tokens": {"type": "exact"}, "bits_per_feature": 5},
    ],
    "groups": [
        {"name": "names_birth", "fields": ["surname", "given", "born"], "inserted_bits": 60},
        {"name": "birth", "fields": ["born", "sex"], "inserted_bits": 41},
    ],
    "blocking": [
        {
            "name": "year and initial",
            "parts": [{"field": "born", "first": 4}, {"field": "surname", "first": 1}],
        }
    ],
}
PEOPLE = [
    {"id": "r1", "surname": "jansen", "given": "anna", "born": "19500131", "sex": "f"},
    {"id": "r2", "surname": "janssen", "given": "anna", "born": "19500131", "sex": "f"},
    {"id": "r3", "surname": "müller", "given": "jo", "born": "19991231", "sex": "m"},
    {"id": "r4", "surname": "李", "given": None, "born": "20040229", "sex": None},
]


def main() -> None:
    schema = pprl.Schema.from_document(SCHEMA)
    key = pprl.LinkageKey.from_secret(KEY)
    made = pprl.encode(pd.DataFrame(PEOPLE), schema, key, id_column="id", holder="test vector")
    path = HERE / "encodings-format-1.clk.parquet"
    path.unlink(missing_ok=True)
    made.save(path)
    table = pq.read_table(path)

    def plain(value):
        if isinstance(value, bytes):
            return value.hex()
        return [plain(one) for one in value] if isinstance(value, list) else value

    content = {
        "schema": SCHEMA,
        "canonical": json.dumps(
            schema.model_dump(mode="json", exclude={"name"}, exclude_defaults=True),
            sort_keys=True,
            separators=(",", ":"),
        ),
        "fingerprint": schema.fingerprint,
        "key": KEY.hex(),
        "people": PEOPLE,
        "header": json.loads(pq.read_metadata(path).metadata[b"pprl"]),
        "columns": {name: plain(table[name].to_pylist()) for name in table.column_names},
    }
    (HERE / "encodings-format-1.json").write_text(
        json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
