"""clkhash linkage schemas, versions 1, 2 and 3, read as clkhash reads them.

The conversions follow clkhash 0.18.3 (``schema.py``, ``field_formats.py``): v1 to
v2 to v3, then v3 to `Schema`. Its quirks are kept, because a changed bit would
break a linkage that works today; the ones worth knowing raise a warning.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Mapping
from typing import Any

from pprl.errors import PprlWarning, SchemaError
from pprl.holder.schema import Schema, parse

_Json = dict[str, Any]


def from_clkhash(document: _Json, source: str = "schema", *, strict: bool = False) -> Schema:
    """Convert a clkhash linkage schema.

    Args:
        document: The parsed JSON document.
        source: Names the document in errors.
        strict: Refuse what clkhash accepts and silently ignores (``xorFolds``).

    Raises:
        SchemaError: The document is not a valid clkhash schema.
    """
    try:
        return parse(Schema, _convert(document, source, strict), source)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise SchemaError(f"{source} is not a valid clkhash schema: {what}.") from None


def document_of(schema: Any) -> _Json:
    """Write a ``clkhash.schema.Schema`` object as the version 3 document it came from.

    Raises:
        SchemaError: The object is something else.
    """
    try:
        kdf = {"type": schema.kdf_type, "hash": schema.kdf_hash, "keySize": schema.kdf_key_size}
        for name in ("salt", "info"):
            value = getattr(schema, f"kdf_{name}")
            if value is not None:
                kdf[name] = base64.b64encode(value).decode("ascii")
        return {
            "version": 3,
            "clkConfig": {"l": schema.l, "xor_folds": schema.xor_folds, "kdf": kdf},
            "features": [_feature_of(field) for field in schema.fields],
        }
    except AttributeError:
        raise SchemaError(f"{type(schema).__name__} is not a clkhash schema.") from None


def _feature_of(field: Any) -> _Json:
    hashing = field.hashing_properties
    if hashing is None:
        return {"identifier": field.identifier, "ignored": True}
    comparator = hashing.comparator
    comparison: _Json
    match type(comparator).__name__:
        case "NgramComparison":
            positional = bool(comparator.positional)
            comparison = {"type": "ngram", "n": comparator.n, "positional": positional}
        case "NumericComparison":
            precision = comparator.fractional_precision
            comparison = {
                "type": "numeric",
                # clkhash keeps the rounded interval only; it is what decides.
                "thresholdDistance": comparator.distance_interval / 10**precision,
                "resolution": comparator.resolution,
                "fractional_precision": precision,
            }
        case _:
            comparison = {"type": "exact"}
    # Asked for one token, either strategy gives all the bits that it has.
    bits = hashing.strategy.bits_per_token(1)[0]
    shared = type(hashing.strategy).__name__ == "BitsPerFeatureStrategy"
    hash_: _Json = {"type": hashing.hash_type}
    if hashing.prevent_singularity is not None:
        hash_["prevent_singularity"] = hashing.prevent_singularity
    converted: _Json = {
        "comparison": comparison,
        "strategy": {"bitsPerFeature" if shared else "bitsPerToken": bits},
        "hash": hash_,
    }
    if hashing.missing_value is not None:
        missing = hashing.missing_value
        converted["missingValue"] = {
            "sentinel": missing.sentinel,
            "replaceWith": missing.replace_with,
        }
    return {
        "identifier": field.identifier,
        "format": _format_of(field, hashing.encoding),
        "hashing": converted,
    }


def _format_of(field: Any, encoding: str) -> _Json:
    match type(field).__name__:
        case "StringSpec" if field.regex_based:
            return {"type": "string", "encoding": encoding, "pattern": field.regex.pattern}
        case "StringSpec":
            limits = {"minLength": field.min_length, "maxLength": field.max_length}
            given = {name: limit for name, limit in limits.items() if limit is not None}
            return {"type": "string", "encoding": encoding, "case": field.case, **given}
        case "IntegerSpec":
            bounds = {"minimum": field.minimum, "maximum": field.maximum}
            return {"type": "integer"} | {n: b for n, b in bounds.items() if b is not None}
        case "DateSpec":
            return {"type": "date", "format": field.format}
        case "EnumSpec":
            return {"type": "enum", "values": sorted(field.values)}
    raise SchemaError(f"field {field.identifier!r}: clkhash's {type(field).__name__} is not known.")


def _convert(document: _Json, source: str, strict: bool) -> _Json:
    version = document.get("version")
    if version not in (1, 2, 3) or isinstance(version, bool):
        raise SchemaError(f"{source}: clkhash schema version {version!r} is not 1, 2 or 3.")
    config = document["clkConfig"]
    if "xorFolds" in config:
        message = (
            f"{source}: clkhash ignores 'xorFolds' (its loader reads 'xor_folds'), "
            f"so the filters are not folded"
        )
        if strict:
            raise SchemaError(f"{message}. Remove it, or write 'xor_folds'.")
        warnings.warn(message, PprlWarning, stacklevel=4)
    kdf = config["kdf"]
    _known(kdf, {"type", "hash", "salt", "info", "keySize"}, "clkConfig.kdf")
    if kdf["type"] != "HKDF":
        raise SchemaError(f"{source}: the key derivation must be HKDF.")
    features = document["features"]
    if version == 1:
        features = [_v1_to_v2(feature, config) for feature in features]
    if version <= 2:
        features = [_v2_to_v3(feature) for feature in features]
    folds = config.get("xor_folds", 0)
    return {
        "name": "clkhash schema",
        "bits": config["l"],
        "hardening": {"method": "xor-fold", "folds": folds} if folds else {"method": "none"},
        "fields": [_field(feature) for feature in features],
        "clkhash": {
            "hash": kdf.get("hash", "SHA256"),
            "salt": kdf.get("salt"),
            "info": kdf.get("info"),
            "key_size": kdf.get("keySize", 64),
        },
    }


def _v1_to_v2(feature: _Json, config: _Json) -> _Json:
    if feature.get("ignored", False):
        return feature
    hashing = dict(feature["hashing"])
    weight = hashing.pop("weight", 1.0)
    if weight == 0:
        return {"identifier": feature["identifier"], "ignored": True}
    # Python rounds halves to even, and so does clkhash: 20 * 0.125 gives 2.
    hashing["strategy"] = {"k": round(weight * config["k"])}
    hashing["hash"] = config["hash"]
    return {**feature, "hashing": hashing}


def _v2_to_v3(feature: _Json) -> _Json:
    if feature.get("ignored", False):
        return feature
    hashing = dict(feature["hashing"])
    names = {"k": "bitsPerToken", "numBits": "bitsPerFeature"}
    hashing["strategy"] = {names[key]: value for key, value in hashing["strategy"].items()}
    hashing["comparison"] = {
        "type": "ngram",
        "n": hashing.pop("ngram"),
        "positional": hashing.pop("positional", False),
    }
    return {**feature, "hashing": hashing}


def _field(feature: _Json) -> _Json:
    if feature.get("ignored", False):
        return {"name": feature["identifier"], "ignored": True}
    _known(feature, {"identifier", "description", "ignored", "format", "hashing"}, "feature")
    hashing = feature["hashing"]
    _known(hashing, {"comparison", "strategy", "hash", "missingValue"}, "hashing")
    strategy = hashing["strategy"]
    if len(strategy) != 1:
        raise TypeError("a strategy is one of bitsPerToken and bitsPerFeature")
    _known(strategy, {"bitsPerToken", "bitsPerFeature"}, "strategy")
    converted = {
        "name": feature["identifier"],
        "format": _format(feature["format"]),
        "tokens": _tokens(hashing["comparison"]),
        "bits_per_feature": strategy.get("bitsPerFeature"),
        "bits_per_token": strategy.get("bitsPerToken"),
        "hash": _hash(hashing.get("hash", {"type": "blakeHash"})),
    }
    if "missingValue" in hashing:
        missing = hashing["missingValue"]
        _known(missing, {"sentinel", "replaceWith"}, "missingValue")
        sentinel = missing["sentinel"]
        # Without replaceWith clkhash encodes the sentinel's own text.
        converted["missing"] = {
            "sentinel": sentinel,
            "replace_with": missing.get("replaceWith", sentinel),
        }
    return converted


def _tokens(comparison: _Json) -> _Json:
    tokens = _rename(comparison, {"thresholdDistance": "threshold_distance"})
    precision = tokens.get("fractional_precision", 0)
    distance = tokens.get("threshold_distance")
    if precision in range(101) and isinstance(distance, int | float) and 0 < distance <= 1e100:
        # clkhash keeps the distance rounded to its precision, and so do its Schema objects.
        tokens["threshold_distance"] = round(distance * 10**precision) / 10**precision or distance
    return tokens


def _format(format_: _Json) -> _Json:
    names = {"minLength": "min_length", "maxLength": "max_length"}
    return {k: v for k, v in _rename(format_, names).items() if k != "description"}


def _hash(hash_: _Json) -> _Json:
    kind = {"blakeHash": "blake", "doubleHash": "double"}.get(hash_["type"])
    if kind is None:
        raise TypeError(f"hash {hash_['type']!r} is neither blakeHash nor doubleHash")
    return {**hash_, "type": kind}


def _rename(mapping: Mapping[str, Any], names: Mapping[str, str]) -> _Json:
    return {names.get(key, key): value for key, value in mapping.items()}


def _known(mapping: Mapping[str, Any], names: set[str], where: str) -> None:
    for name in mapping:
        if name not in names:
            raise TypeError(f"{where} does not know {name!r}")
