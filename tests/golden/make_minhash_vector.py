"""Make the test vector of min-hash with the second implementation, tests/independent.py.

    PYTHONPATH=tests python tests/golden/make_minhash_vector.py

Nothing of pprl has a part in it. Not to be run again: files out there hold these bits.
"""

import hashlib
import json
from pathlib import Path

import independent

KEY = bytes(range(32))
SCHEMA = {
    "version": 1,
    "name": "min-hash vector",
    "bits": 128,
    "hardening": {"method": "minhash", "t": 4},
    "fields": [
        {"name": "surname", "bits_per_feature": 60, "tokens": {"type": "ngram", "n": 2}},
        {"name": "given", "bits_per_token": 7, "tokens": {"type": "ngram", "n": 3}},
        {
            "name": "born",
            "bits_per_feature": 80,
            "tokens": {"type": "ngram", "n": 2, "positional": True},
        },
        {"name": "sex", "bits_per_feature": 1, "tokens": {"type": "exact"}},
    ],
    "groups": [
        {"name": "names", "fields": ["surname", "given"], "weights": {"given": 20}},
        {
            "name": "all",
            "fields": ["surname", "given", "born", "sex"],
            "weights": {"surname": 1, "born": 65536},
            "bits": 192,
            "hardening": {"method": "minhash", "t": 5, "slots": 320},
        },
        {
            "name": "salted",
            "fields": ["surname", "sex"],
            "salts": [{"field": "born", "characters": 4}, {"field": "given"}],
        },
    ],
}
PEOPLE = [
    {"id": "r1", "surname": "jansen", "given": "anna", "born": "19500131", "sex": "f"},
    {"id": "r2", "surname": "janssen", "given": "anna", "born": "19500131", "sex": "f"},
    {"id": "r3", "surname": "m\u00fcller", "given": "oo" * 70, "born": None, "sex": "m"},
    {"id": "r4", "surname": "\u674e" * 200, "given": "jo", "born": "20040229", "sex": None},
    {"id": "r5", "surname": "abcdefgh" * 30, "given": None, "born": None, "sex": "m"},
    {"id": "r6", "surname": None, "given": None, "born": "19991231", "sex": "m"},
]


def canonical() -> str:
    """The schema as JSON with sorted keys, without its name and what is the default."""
    content = json.loads(json.dumps(SCHEMA))
    del content["version"], content["name"]
    for field in content["fields"]:
        if field["tokens"] == {"type": "ngram", "n": 2}:
            del field["tokens"]
        elif field["tokens"]["type"] == "ngram":
            del field["tokens"]["type"]
            if field["tokens"]["n"] == 2:
                del field["tokens"]["n"]
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def main() -> None:
    mark = hashlib.sha256(canonical().encode()).hexdigest()
    clks = {
        group["name"]: [
            independent.minhash_clk(SCHEMA, group, person, KEY, mark).hex() for person in PEOPLE
        ]
        for group in SCHEMA["groups"]
    }
    content = {
        "schema": SCHEMA,
        "canonical": canonical(),
        "fingerprint": mark,
        "key": KEY.hex(),
        "people": PEOPLE,
        "clks": clks,
    }
    Path(__file__).with_name("minhash.json").write_text(
        json.dumps(content, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
