"""Write the golden tokens of other schemes, with the schemes' own packages.

Run it in an environment of its own, with Java for Spark::

    pip install 'spindle-token[spark]==2.4.2' openlinktoken==2.2.1
    python tests/golden/make_token_vectors.py

The key is made here and stands in the file, so that the vectors can be made again: it protects
nothing. People are made up, with what data of the world has in it.
"""

from __future__ import annotations

import json
import os
import random
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "tokens.json"
PARTS = (
    "first_name", "last_name", "gender", "birth_date", "email", "phone", "ssn",
    "group_number", "member_id", "postal_code",
)  # fmt: skip
SECRET = "a hashing secret for tests only"

FIRST = (
    "Anna", "anna maria", "José", "Jean-Luc", "", None, "  Dr. Piet ", "O'Brien", "Łukasz", "Test",
    "Mr John Q.", "J", "J.P.", "Ann B", "李", "Mary Ann Louise", "mary-ann", "Al X", "Unknown",
    "Þór", "Straße", "Rev Dr", "Ab. C", "Maria/Anna", "ANNE  MARIE", "Zoë\tLouise", "N/A", "Knight",
    "Philip", "Xavier", "Wright", "Aaron", "Tsjaikovski", "Charles", "\u2002Ed",
)  # fmt: skip
LAST = (
    "Jansen", "de Vries", "van 't Hof", "Ng", "O", "Ma", "Li", "xq", "Smith Jr.", "SMITH III",
    "Ashcraft", "Ashcroft", "Tymczak", "Pfister", "Honeyman", "Lloyd", "Jackson", "Van der Berg",
    "Østergård", "Dvořák", "Iii", "Müller-Lüdenscheidt", "Wheeler", "Whw", "", None, "Patient",
    "Brown 2nd", "Đorđević", "Gutierrez", "Schmidt", "McDonald", "Test16", "ß", "D'Arcy",
)  # fmt: skip
GENDER = (
    "F",
    "f",
    "Female",
    "M",
    "male",
    " m ",
    "W",
    "girl",
    "boy",
    "X",
    "",
    None,
    "vrouw",
    "ﬁ",
    "other",
)
BORN = (
    "1970-01-02", "1999-12-31", "1909-12-31", "1910-01-01", "2099-01-01", "1952-02-29",
    "1951-02-29", "1970-1-2", "01/02/1970", "02.01.1970", "1970/01/02", "1970-01-02T00:00:00Z",
    "1970-01-02 00:00:00", "", None, "01-02-1970", "1970-01-02T23:30:00.000+02:00", "0000-01-01",
)  # fmt: skip
EMAIL = ("A.B@Example.com", " a.b@example.com ", "", None, "İ@example.com", "x")
PHONE = (
    "(650) 253-0000",
    "+31 6 12345678",
    "6502530000",
    "12",
    "x",
    None,
    "",
    "650-253-0000 ext 4",
)
SSN = (
    "078-05-1120", "078051120", "123-45-6789", "123456789", "900-12-3456", "666-12-3456",
    "000-12-3456", "123-00-6789", "123-45-0000", "7805112", "78051120.0", "x", None, "", "12345",
    "457-55-5462", " 457555462",
)  # fmt: skip
GROUP = ("ab 12", "AB12", "", None, "x-1")
MEMBER = ("m 1", "M1", None, "z9", "ç2")
POSTAL = (
    "95101", "951", "9510", "95101-1234", "951011234", "12345", "00012", "K1A 0B1", "k1a0b1",
    "K1A", "M5V", "M5V 2T6", "m5v2", "M5V2T", "K1A 1A0", "H0H 0H0", "", None, "1234 AB", " 90210 ",
    "55512", "A1A 1A1",
)  # fmt: skip
VALUES = dict(
    zip(PARTS, (FIRST, LAST, GENDER, BORN, EMAIL, PHONE, SSN, GROUP, MEMBER, POSTAL), strict=True)
)


def people() -> list[dict[str, str | None]]:
    """Make a person for every odd value beside plain ones, and some with several odd ones."""
    rng = random.Random(20261201)
    plain = {name: values[0] for name, values in VALUES.items()}
    made = [plain | {name: value} for name, values in VALUES.items() for value in values]
    made += [{n: rng.choice(values) for n, values in VALUES.items()} for _ in range(30)]
    return made


def opprl(rows: list[dict[str, str | None]], key: bytes) -> dict[str, list[str | None]]:
    """Make the tokens of all versions of OPPRL with ``spindle-token``."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StringType, StructField, StructType
    from spindle_token import tokenize
    from spindle_token.opprl import OpprlV0, OpprlV1, OpprlV2

    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = spark.getOrCreate()
    kind = StructType([StructField(name, StringType()) for name in PARTS])
    frame = session.createDataFrame([tuple(row[n] for n in PARTS) for row in rows], kind)
    names = PARTS[:-1]
    found: dict[str, list[str | None]] = {}
    for which, count in ((OpprlV0, 3), (OpprlV1, 13), (OpprlV2, 13)):
        tokens = [getattr(which, f"token{at}") for at in range(1, count + 1)]
        columns = {getattr(which, n): n for n in names if hasattr(which, n)}
        answer = tokenize(frame, columns, tokens, key).collect()
        for token in tokens:
            found[token.name] = [row[token.name] for row in answer]
    session.stop()
    return found


def open_link(rows: list[dict[str, str | None]]) -> dict[str, list[str | None]]:
    """Make the tokens of Open Link Token with ``openlinktoken``; None for its blank token."""
    from openlinktoken.tokens.token import Token
    from openlinktoken.tokens.token_definition import TokenDefinition
    from openlinktoken.tokens.token_generator import TokenGenerator
    from openlinktoken.tokentransformer.hash_token_transformer import HashTokenTransformer

    generator = TokenGenerator.from_transformers(TokenDefinition(), [HashTokenTransformer(SECRET)])
    fields = {
        "FirstName": "first_name", "LastName": "last_name", "Sex": "gender",
        "BirthDate": "birth_date", "PostalCode": "postal_code", "SocialSecurityNumber": "ssn",
    }  # fmt: skip
    found: dict[str, list[str | None]] = {f"openlinktoken_t{at}": [] for at in range(1, 6)}
    for row in rows:
        given = {field: row[name] for field, name in fields.items()}
        made = generator.get_all_tokens_via_field_id(given).tokens
        for at in range(1, 6):
            token = made.get(f"T{at}")
            found[f"openlinktoken_t{at}"].append(None if token in (None, Token.BLANK) else token)
    return found


def short(made: list[str | None]) -> dict[str, list[object]]:
    """Write each different token once, and which of them each person has."""
    distinct = list(dict.fromkeys(made))
    return {"distinct": distinct, "of": [distinct.index(one) for one in made]}


def main() -> None:
    """Write the vectors."""
    from spindle_token import generate_pem_keys

    if OUT.exists():
        key = json.loads(OUT.read_text(encoding="utf-8"))["private_key"]
    else:
        key = generate_pem_keys()[0].decode()
    rows = people()
    content = {
        "made_by": {name: version(name) for name in ("spindle-token", "openlinktoken", "pyspark")},
        "script": "tests/golden/make_token_vectors.py",
        "private_key": key,
        "secret": SECRET,
        "people": [[row[name] for name in PARTS] for row in rows],
        "parts": PARTS,
        "tokens": {
            name: short(made)
            for name, made in (opprl(rows, key.encode()) | open_link(rows)).items()
        },
    }
    OUT.write_text(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
