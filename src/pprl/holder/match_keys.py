"""Exact keys that registries link on today, as baselines: keyed, and made by the holder.

Each is a blocking pass under a name that people know, so it travels among the blocking keys
of an encodings file, hashed under a key of its own; records with equal keys are linked by
`pprl.linkage.cascade`. A record that lacks a part has no key, and the file's header says how
many have one.

Tokens of other schemes (`pprl.holder.token_schemes`) are keys, too: a holder has them in a column
of its own, and they travel hashed again, as any key does.

The linkage unit sees which records have equal keys and how often, for every key that is in the
file. Add only those that will be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pprl.errors import UsageError
from pprl.holder.blocking_passes import BlockingPass, KeyPart
from pprl.holder.schema import DateFormat, Schema
from pprl.holder.token_schemes import open_link, opprl

_DATE_DIGITS = 8


@dataclass(frozen=True)
class MatchKey:
    """An exact key in use somewhere.

    Attributes:
        parts: What it takes; ``field`` stands for what the schema's field holds.
        practice: Where it is used, or after what.
        column: Of a token: the column that holds it; it has no parts then.
    """

    parts: tuple[KeyPart, ...]
    practice: str
    column: str | None = None


def _key(practice: str, *parts: KeyPart | str) -> MatchKey:
    return MatchKey(
        tuple(KeyPart(field=part) if isinstance(part, str) else part for part in parts), practice
    )


def _letters(field: str, *places: int) -> KeyPart:
    return KeyPart(field=field, letters=places)


def _tokens() -> dict[str, MatchKey]:
    found = {}
    for version in opprl.VERSIONS:
        for name, made_of in opprl.tokens_of(version).items():
            what = f"OPPRL {version}: {', '.join(made_of)}"
            found[name] = MatchKey((), what, column=name)
    for name, made_of in open_link.TOKENS.items():
        found[name] = MatchKey((), f"Open Link Token: {', '.join(made_of)}", column=name)
    return found


PRACTICE_KEYS: Mapping[str, MatchKey] = {
    "palga4": _key(
        "the Dutch pathology archive: first four letters of the birth name, date of birth, sex",
        _letters("surname", 1, 2, 3, 4),
        "birth_date",
        "sex",
    ),
    "palga8": _key(
        "the same with eight letters",
        _letters("surname", 1, 2, 3, 4, 5, 6, 7, 8),
        "birth_date",
        "sex",
    ),
    "pht_address": _key(
        "the Personal Health Train pilot at Maastricht: house number, postcode, date of birth, sex",
        "house_number",
        "postcode",
        "birth_date",
        "sex",
    ),
    "pc4": _key(
        "admissions against the population register: date of birth, sex, four digits of postcode",
        "birth_date",
        "sex",
        KeyPart(field="postcode", first=4),
    ),
    "slk581": _key(
        "Australia's statistical linkage key: letters 2, 3, 5 of the surname, 2, 3 of the first "
        "name, date of birth, sex",
        _letters("surname", 2, 3, 5),
        _letters("first_names", 2, 3),
        "birth_date",
        "sex",
    ),
    "bsn": _key("the citizen service number, where the law allows it", "bsn"),
}
"""Keys that are made of the schema's fields, by name. Their parts stand for fields:
``surname`` (by birth), ``first_names``,
``birth_date``, ``sex``, ``postcode``, ``house_number``, ``bsn``."""

TOKEN_KEYS: Mapping[str, MatchKey] = _tokens()
"""Tokens of other schemes, by the name of the token, which is the name of its column."""

MATCH_KEYS: Mapping[str, MatchKey] = {**PRACTICE_KEYS, **TOKEN_KEYS}
"""All keys by name."""


def match_passes(
    schema: Schema, names: Sequence[str], fields: Mapping[str, str] | None = None
) -> tuple[BlockingPass, ...]:
    """Return keys in use today as blocking passes of a schema.

    Values are taken as the schema cleans them. A date of which a part is unknown is missing.

    Args:
        schema: A schema with the fields that the keys are made of.
        names: Which of `MATCH_KEYS`.
        fields: The schema's field for a part, where it has another name:
            ``{"surname": "achternaam"}``.

    Raises:
        UsageError: There is no such key, or the schema lacks a field.
    """
    called = fields or {}
    known = {one.name: one for one in schema.encoded_fields}
    offered = {part.field for key in MATCH_KEYS.values() for part in key.parts}
    stray = set(called) - offered
    if stray:
        raise UsageError(
            f"no exact key has a part {min(stray)!r}; they have {', '.join(sorted(offered))}."
        )
    passes = []
    for name in names:
        if name not in MATCH_KEYS:
            raise UsageError(
                f"there is no exact key {name!r}; there are {', '.join(PRACTICE_KEYS)}, and tokens "
                f"such as {next(iter(TOKEN_KEYS))!r} and {list(TOKEN_KEYS)[-1]!r}."
            )
        if MATCH_KEYS[name].column is not None:
            passes.append(BlockingPass(name=name, column=MATCH_KEYS[name].column))
            continue
        parts = []
        for part in MATCH_KEYS[name].parts:
            field = known.get(called.get(part.field, part.field))
            if field is None:
                raise UsageError(
                    f"key {name!r} needs the field {part.field!r}, and schema {schema.name!r} "
                    f"encodes none of that name. Say which it is: {part.field}=FIELD, one of "
                    f"{', '.join(known)}."
                )
            whole = isinstance(field.format, DateFormat)
            length = _DATE_DIGITS if whole else part.length
            parts.append(part.model_copy(update={"field": field.name, "length": length}))
        passes.append(BlockingPass(name=name, parts=tuple(parts)))
    return tuple(passes)


def with_match_keys(
    schema: Schema, names: Sequence[str], fields: Mapping[str, str] | None = None
) -> Schema:
    """Add keys in use today to a schema; its fingerprint changes.

    Takes what `match_passes` takes.

    Raises:
        UsageError: There is no such key, the schema lacks a field, or has the key already.
    """
    added = match_passes(schema, names, fields)
    have = [one.name for one in (*schema.blocking, *added)]
    twice = sorted({name for name in have if have.count(name) > 1})
    if twice:
        raise UsageError(f"schema {schema.name!r} would have the key {twice[0]!r} twice.")
    return schema.model_copy(update={"blocking": (*schema.blocking, *added)})


def match_key_toml(
    schema: Schema, names: Sequence[str], fields: Mapping[str, str] | None = None
) -> str:
    """Return the lines that add keys in use today to a schema's TOML file.

    Takes and raises what `with_match_keys` does.
    """
    before = len(schema.blocking)
    passes = with_match_keys(schema, names, fields).blocking[before:]
    return "\n".join(_pass_lines(one) for one in passes)


def _pass_lines(one: BlockingPass) -> str:
    if one.column is not None:
        return f'[[blocking]]\nname = "{one.name}"\ncolumn = "{one.column}"\n'
    parts = []
    for part in one.parts:
        said = [f'field = "{part.field}"']
        if part.letters:
            said.append(f"letters = [{', '.join(map(str, part.letters))}]")
        said += [
            f"{option} = {value}"
            for option, value in (("length", part.length), ("first", part.first))
            if value
        ]
        parts.append(f"  {{ {', '.join(said)} }},")
    lines = "\n".join(parts)
    return f'[[blocking]]\nname = "{one.name}"\nparts = [\n{lines}\n]\n'
