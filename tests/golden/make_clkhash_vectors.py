"""Make golden vectors with clkhash itself; run in an environment that has it alone.

    python -m venv peers && peers/bin/pip install clkhash==0.18.3
    peers/bin/python tests/golden/make_clkhash_vectors.py > tests/golden/clkhash-0.18.3.json

Nothing of pprl takes part. The schemas cover every comparison, strategy and hash.
"""

import json
import sys
from importlib.metadata import version

from clkhash.bloomfilter import stream_bloom_filters
from clkhash.key_derivation import generate_key_lists
from clkhash.schema import from_json_dict

NAMES = ["Anna", "José", "van der Berg", "", "O'Neill-Müller", "Łukasz", "李小龍", "a", "  x "]


def feature(name, comparison, strategy, format_=None, **hashing):
    return {
        "identifier": name,
        "format": format_ or {"type": "string", "encoding": "utf-8"},
        "hashing": {"comparison": comparison, "strategy": strategy, **hashing},
    }


def document(*features, bits=1024, kdf=None, **config):
    kdf = {"type": "HKDF", **(kdf or {})}
    return {"version": 3, "clkConfig": {"l": bits, "kdf": kdf, **config}, "features": features}


BIGRAMS = {"type": "ngram", "n": 2}
DOUBLE = {"hash": {"type": "doubleHash", "prevent_singularity": True}}
NUMERIC = {
    "type": "numeric",
    "thresholdDistance": 8,
    "resolution": 2,
    "fractional_precision": 1,
}
CASES = [
    (document(feature("n", BIGRAMS, {"bitsPerToken": k})), [(n,) for n in NAMES])
    for k in (1, 10, 32, 33, 100)
]
CASES += [
    (document(feature("n", {**BIGRAMS, "n": n, "positional": p}, s, **h)), [(v,) for v in NAMES])
    for n in (1, 2, 3, 4)
    for p in (False, True)
    for s in ({"bitsPerFeature": 5}, {"bitsPerFeature": 150}, {"bitsPerToken": 20})
    for h in ({}, DOUBLE)
]
CASES += [
    (
        document(
            {"identifier": "row", "ignored": True},
            feature("name", BIGRAMS, {"bitsPerFeature": 200}),
            feature(
                "born",
                {**BIGRAMS, "positional": True},
                {"bitsPerFeature": 150},
                {"type": "date", "format": "%d.%m.%Y"},
                missingValue={"sentinel": "-", "replaceWith": ""},
            ),
            feature(
                "sex",
                {"type": "exact"},
                {"bitsPerToken": 30},
                {"type": "enum", "values": ["m", "f"]},
            ),
            feature("cm", NUMERIC, {"bitsPerFeature": 90}),
            feature("n", {"type": "ngram", "n": 1}, {"bitsPerToken": 9}, {"type": "integer"}),
            **extra,
        ),
        [
            ("1", "Anna", "31.01.1950", "f", "171.5", "007"),
            ("2", "Bert", "-", "m", "-3", "-12"),
            ("3", "", "01.01.0999", "f", "", "0"),
        ],
    )
    for extra in (
        {},
        {"kdf": {"hash": "SHA512", "salt": "c2FsdA==", "info": "aW5mbw==", "keySize": 32}},
        {"xor_folds": 2, "bits": 512},
    )
]


def encode(made, rows, secret):
    schema = from_json_dict(json.loads(json.dumps(made)))
    keys = generate_key_lists(
        secret,
        len(schema.fields),
        key_size=schema.kdf_key_size,
        salt=schema.kdf_salt,
        info=schema.kdf_info,
        kdf=schema.kdf_type,
        hash_algo=schema.kdf_hash,
    )
    return [bits.tobytes().hex() for bits, _, _ in stream_bloom_filters(rows, keys, schema)]


SECRET = b"golden vectors, not a secret"
json.dump(
    {
        "made_by": f"clkhash {version('clkhash')}, Python {sys.version.split()[0]}, {sys.platform}",
        "made_with": "tests/golden/make_clkhash_vectors.py",
        "cases": [
            {
                "schema": made,
                "secret": SECRET.hex(),
                "rows": rows,
                "clks": encode(made, rows, SECRET),
            }
            for made, rows in CASES
        ],
    },
    sys.stdout,
    ensure_ascii=False,
)
