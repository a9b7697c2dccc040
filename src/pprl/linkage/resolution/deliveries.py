"""Names of clusters that stay when another delivery arrives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.errors import UnreadableFile, UsageError
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.links import Clusters
from pprl.exchange.untrusted.documents import read_json_object
from pprl.exchange.untrusted.header import checked_header
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool
from pprl.linkage.model.scoring import Criterion
from pprl.linkage.options import Rule
from pprl.linkage.resolution.agglomerative import check_rule, components

EVENTS_SCHEMA = pa.schema(
    [
        ("event", pa.string()),
        ("previous_id", pa.string()),
        ("cluster_id", pa.string()),
        ("records", pa.int64()),
    ]
)
"""The columns of an events table: so many of an old cluster's records came into another."""

_ID_DIGITS = 24


@dataclass(frozen=True, eq=False)
class Previous:
    """The clusters of an earlier delivery, by record of the pool.

    Attributes:
        cluster: (n,) int64 number of each record's earlier cluster, -1 for new records.
        ids: Earlier cluster ids, by number.
    """

    cluster: NDArray[np.int64]
    ids: pa.StringArray

    @classmethod
    def of(cls, clusters: Clusters, pool: Pool) -> Previous:
        """Find the earlier clusters' records in the pool.

        Raises:
            UsageError: A record is not in the files, or there twice.
        """
        table = clusters.table.combine_chunks()
        holder = pc.index_in(table["holder"], pa.array(pool.names)).combine_chunks()
        record_ids = pa.array(table["record_id"].combine_chunks())
        records = pool.number(holder.fill_null(-1).to_numpy().astype(np.int64), record_ids)
        gone = int((records < 0).sum())
        if gone:
            raise UsageError(
                f"{gone:,} records of the earlier delivery are not in the files. Give the old "
                f"files, too, under their holders' old names; to take records out, link anew."
            )
        encoded = table["cluster_id"].combine_chunks().dictionary_encode()
        cluster = np.full(len(pool), -1, np.int64)
        cluster[records] = encoded.indices.to_numpy()
        if (cluster >= 0).sum() < len(records):
            raise UsageError("the earlier clusters have a record twice.")
        return cls(cluster, encoded.dictionary)

    def with_links(self, pairs: Pairs) -> Pairs:
        """Add to pairs, for joining, a chain through the records of each earlier cluster.

        The chain only brings the records into one component, where their own similarities
        count.
        """
        order = np.argsort(self.cluster, kind="stable")
        order = order[self.cluster[order] >= 0]
        same = self.cluster[order[1:]] == self.cluster[order[:-1]]
        left, right = order[:-1][same], order[1:][same]
        chain = Pairs(np.minimum(left, right), np.maximum(left, right), np.ones(len(left)))
        return Pairs.concat([pairs, chain])

    def untouched(self, joined: Pairs, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Leave clusters as they were where no new record is connected with them."""
        parts = components(joined, len(labels))
        has_new = np.zeros(int(parts.max(initial=0)) + 1, bool)
        has_new[parts[self.cluster < 0]] = True
        old = np.flatnonzero(~has_new[parts])
        result = labels.copy()
        _, first, inverse = np.unique(self.cluster[old], return_index=True, return_inverse=True)
        result[old] = old[first][inverse]
        return result


def name_clusters(
    pool: Pool, labels: NDArray[np.int64], previous: Previous | None
) -> tuple[pa.Array, pa.Table | None]:
    """Give every cluster an id, and say what became of earlier ones.

    A new cluster is named after its first record: the beginning of a SHA-256 of holder and
    record id, and so the same whenever that record is the first. Of the earlier clusters
    whose records it has, it keeps the id of that with the most of its records here, unless
    another cluster has more of that one's.

    Args:
        pool: The records.
        labels: (n,) the smallest record number of each record's cluster.
        previous: Earlier clusters.

    Returns:
        Ids by label (null where no cluster has it), and events; None without earlier clusters.
    """
    heads = np.unique(labels)
    names: list[str | None] = [None] * len(pool)
    used: set[str] = set()
    events = None
    if previous is not None:
        used = set(previous.ids.to_pylist())
        old = np.flatnonzero(previous.cluster >= 0)
        flows, records = np.unique(
            np.stack([previous.cluster[old], labels[old]]), axis=1, return_counts=True
        )
        # Largest flow first; each earlier id and each cluster once.
        order = np.lexsort((flows[1], flows[0], -records))
        taken = np.zeros(len(previous.ids), bool)
        for at in order.tolist():
            source, target = int(flows[0, at]), int(flows[1, at])
            if not taken[source] and names[target] is None:
                taken[source] = True
                names[target] = previous.ids[source].as_py()
    for head in heads.tolist():
        if names[head] is None:
            names[head] = name = _new_name(pool, head, used)
            used.add(name)
    ids = pa.array(names, pa.string())
    if previous is not None:
        events = _events(previous, flows, records, ids)
    return ids, events


def _new_name(pool: Pool, record: int, used: set[str]) -> str:
    own = f"{pool.names[pool.file[record]]}\0{pool.record_ids[record].as_py()}"
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{own}\0{attempt}".encode()).hexdigest()[:_ID_DIGITS]
        if digest not in used:
            return digest
        attempt += 1


def _events(
    previous: Previous, flows: NDArray[np.int64], records: NDArray[np.int64], ids: pa.Array
) -> pa.Table:
    """List flows of records out of earlier clusters that are now in pieces, or no longer alone."""
    source, target = flows
    kind = []
    for number, name in ((source, "split"), (target, "merge")):
        sizes = np.bincount(number)
        kind.append((np.flatnonzero(sizes[number] > 1), name))
    places = np.concatenate([places for places, _ in kind])
    return pa.table(
        [
            pa.array([name for places, name in kind for _ in places], pa.string()),
            previous.ids.take(pa.array(source[places])),
            ids.take(pa.array(target[places])),
            pa.array(records[places]),
        ],
        schema=EVENTS_SCHEMA,
    )


@dataclass(frozen=True, eq=False)
class Earlier:
    """An earlier job.

    Attributes:
        clusters: Its clusters.
        criterion: How it scored and cut pairs; None where it found nobody in two files.
        rule: How it joined them.
        inputs: Headers of its encodings.
    """

    clusters: Clusters
    criterion: Criterion | None
    rule: Rule
    inputs: tuple[EncodingInfo, ...]


def load_previous(folder: str | PathLike[str]) -> Earlier:
    """Read an earlier job: its clusters, and how they were found.

    Raises:
        UnreadableFile: ``clusters.parquet`` or ``linkage.json`` is missing or damaged.
    """
    clusters = Clusters.load(Path(folder) / "clusters.parquet")
    facts = Path(folder) / "linkage.json"
    try:
        said = read_json_object(facts)
        rule = said["clustering"]
        check_rule(rule)
        inputs = tuple(checked_header(facts, one) for one in said["inputs"])
        # Jobs of before there were criteria have a threshold of similarity.
        if said.get("criterion") is None:
            criterion = Criterion.dice(float(said["threshold"]))
        else:
            criterion = Criterion.from_dict(said["criterion"])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
        raise UnreadableFile(
            f"{facts} is missing or does not say which criterion and rule were used."
        ) from None
    return Earlier(clusters, None if criterion.links_nothing else criterion, rule, inputs)
