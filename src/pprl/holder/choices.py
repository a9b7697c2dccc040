"""What a data holder can choose among, by name; in a module of its own so that help is quick."""

from __future__ import annotations

from typing import Literal

OnInvalid = Literal["error", "skip", "warn"]
"""Stop at invalid values, skip the record, or leave the value out."""

SuggestHardening = Literal["default", "strong", "salted", "fields", "none"]
"""A hardening profile; or none, with a filter for each field or one for all."""

Attacker = Literal["exact", "population"]
"""Which list of people an attacker has: just these without an error, or many more with errors."""

TokenScheme = Literal["opprl-v0", "opprl-v1", "opprl-v2", "openlinktoken"]
"""Whose tokens are made: OPPRL in its three versions, or Open Link Token."""
