"""Where links err, by record id, for the holders to look up. No value of a record is here."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pprl.evaluation.tables import PairTable, links_of, pair_codes, true_pairs


def list_errors(
    links: PairTable, truth: PairTable, *, candidates: PairTable | None = None
) -> pd.DataFrame:
    """List false links and missed matches.

    Args:
        links: The links of a linkage.
        truth: Every true pair of record ids.
        candidates: Pairs with their similarity, such as `pprl.compare` finds above a low
            threshold; then missed matches have one, too, and a reason.

    Returns:
        A row for each error, most similar first within a kind:

        - ``kind``: ``false link`` or ``missed match``;
        - ``left_id, right_id, similarity``;
        - ``left_other``: of a false link the left record's true partner, of a missed match
          the record that it was linked to instead; missing where there is none;
        - ``right_other``: the same for the right record;
        - ``why``: of a false link ``partner missed`` or ``no partner``; of a missed match
          ``other partner`` (a record of it was linked elsewhere), ``not chosen`` (a candidate
          pair, not linked) or ``no candidate`` (not among the candidates).

    Raises:
        UsageError: The truth is empty.
        MissingColumn: A table has no column ``left_id`` or ``right_id``.
        UnreadableFile: A file cannot be read.
    """
    columns = ["left_id", "right_id", "similarity"]
    found = links_of(links, "the table of links").to_pandas()[columns]
    true = true_pairs(truth).assign(similarity=np.nan)
    if candidates is not None:
        known = links_of(candidates, "the table of candidate pairs").to_pandas()[columns]
        codes, true_codes = pair_codes(known, true)
        similarity = pd.Series(known["similarity"].to_numpy(), codes)
        true["similarity"] = similarity.reindex(true_codes).to_numpy()
    found_codes, true_codes = pair_codes(found, true)
    false = _with_others(found[~np.isin(found_codes, true_codes)], true)
    missed = _with_others(true[~np.isin(true_codes, found_codes)], found)
    elsewhere = [_has_other(part) for part in (false, missed)]
    false["why"] = np.where(elsewhere[0], "partner missed", "no partner")
    missed["why"] = "not chosen"
    if candidates is not None:
        missed["why"] = np.where(missed["similarity"].isna(), "no candidate", "not chosen")
    missed.loc[elsewhere[1], "why"] = "other partner"
    parts = [
        part.assign(kind=kind).sort_values(
            ["similarity", "left_id", "right_id"], ascending=[False, True, True]
        )
        for kind, part in (("false link", false), ("missed match", missed))
    ]
    return pd.concat(parts, ignore_index=True)[
        ["kind", *columns, "left_other", "right_other", "why"]
    ]


def _with_others(pairs: pd.DataFrame, partners: pd.DataFrame) -> pd.DataFrame:
    """Add each record's partner in another table of pairs, the first where it has several."""
    out = pairs.copy()
    for mine, other in (("left_id", "right_id"), ("right_id", "left_id")):
        first = partners.drop_duplicates(mine).set_index(mine)[other]
        out[mine.replace("_id", "_other")] = pairs[mine].map(first).astype(object)
    return out


def _has_other(pairs: pd.DataFrame) -> pd.Series[bool]:
    return pairs["left_other"].notna() | pairs["right_other"].notna()
