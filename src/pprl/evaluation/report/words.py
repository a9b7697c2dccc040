"""What a report says in words: who sees what, what is protected, and what limits the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pprl.evaluation.report.facts import Facts
from pprl.evaluation.report.model import Limitation, Protection

if TYPE_CHECKING:
    from pprl.evaluation.report.run import Run
    from pprl.exchange.encodings import EncodingInfo

ROLES = {
    "data holder": "its own people's identifiers, the linkage key and its own encodings",
    "linkage unit": "encodings, record ids and similarities; neither identifiers nor the key",
    "evaluator": "links, quality figures and this report",
    "researcher": "pseudonyms and the data about health; no encoding, no key, no holder's ids",
}

_NOT_PROTECTED = (
    (
        "key_misuse",
        "Who has the key can test any name",
        "Encoding a list of the population takes minutes; no encoding helps, only who has the key.",
    ),
    (
        "known_pairs",
        "Known pairs",
        "Who knows the people behind hundreds of encodings learns about others by comparing.",
    ),
    (
        "membership",
        "Being in the file at all",
        "That somebody stands in a register is the disclosure; ids, counts and links can do.",
    ),
    (
        "results",
        "Results",
        "Similarities order people by their names; small cells and rare links identify.",
    ),
    (
        "collusion",
        "A linkage unit that works together with a holder",
        "Together they have encodings and key, and all that was to be kept apart.",
    ),
    (
        "key_reuse",
        "One key for two projects",
        "Files of one project can then be joined with files of the other.",
    ),
)
"""The six items of the threat model, in its order, with the fact that answers each."""


def not_protected(facts: Facts) -> list[Protection]:
    """List what encoding does not protect against, and what users say they do about it."""
    given = facts.separation
    return [
        Protection(item=item, why=why, given=getattr(given, f"against_{name}"))
        for name, item, why in _NOT_PROTECTED
    ]


def protected(info: EncodingInfo) -> list[str]:
    """Say what the encodings protect."""
    said = [
        "No name, date or address left a data holder: only keyed filters and record ids.",
        "Without the linkage key nobody can encode a name to look for it.",
    ]
    if all(method == "diffusion" for method in info.methods):
        said.append(
            "Diffusion hides which filters are near which, where they are not nearly equal, from "
            "who would align them with a public list."
        )
    if all(method == "minhash" for method in info.methods):
        said.append(
            "Every bit mixes the secret bits of several tokens, which differ from bit to bit, so "
            "the bits of a name cannot be found by solving equations; records that are nearly "
            "equal still look alike."
        )
    return said


def limitations(run: Run, *, truth: bool, groups: bool, facts: Facts) -> list[Limitation]:
    """Say what the run itself shows to limit its results, then what users add."""
    said = [*_of_errors(run, truth), *_of_inputs(run), *_of_blocking(run.facts.get("blocking"))]
    if not groups:
        said.append(
            "Whether some groups of people are linked less often than others was not examined; "
            "no groups were given."
        )
    return [
        *(Limitation(text=text, source="run") for text in said),
        *(Limitation(text=text, source="given") for text in facts.limitations),
    ]


def _of_errors(run: Run, truth: bool) -> list[str]:
    said = []
    if truth:
        said.append(
            "Precision and recall are measured against the truth that was given, and are only as "
            "right and complete as that is."
        )
    elif run.estimate is None:
        said.append("No truth was given and nothing was estimated: error rates are not known.")
    if run.estimate is not None:
        said.append(
            "Estimated precision is a working range: sampling, and an estimated number of false "
            "links that may be wrong by a factor of 2.5. How often it holds depends on the kind of "
            "files."
        )
        if not truth:
            said.append(
                "Recall is not known. How many matches were missed is not estimated without a "
                "truth. A truth for part of the records would make it known; a clerical review "
                "of a sample of pairs gives an upper bound."
            )
    if run.facts.get("doubtful_from"):
        said.append(
            f"Pairs from {run.facts['doubtful_from']:.3f} in similarity up to the threshold look "
            f"like members of one household and were left out; people whose address changed may be "
            f"among them."
        )
    if run.similarities is None:
        said.append("The run kept no similarities; their distribution is missing here.")
    if run.curve is None and run.facts.get("rule") == "auto" and "matching" in run.facts:
        said.append("The run kept no curve; results at other thresholds are missing here.")
    return said


def _of_inputs(run: Run) -> list[str]:
    said = []
    fields = run.inputs[0].present
    for name in fields:
        shares = [info.present.get(name, 0.0) for info in run.inputs]
        if max(shares) - min(shares) > 0.1:
            said.append(
                f"Field {name!r} is filled much more often at some holders than at others, which "
                f"makes links between these less likely."
            )
    weak = sorted(
        {method for info in run.inputs for method in info.methods} - {"diffusion", "minhash"}
    )
    if weak:
        said.append(
            f"The encodings are hardened by {' and '.join(weak)} only, which does not resist an "
            f"attack that aligns them with a public list of people."
        )
    return said


def _of_blocking(blocking: dict[str, Any] | None) -> list[str]:
    if not blocking:
        return []
    said = ["Pairs that share no block were not compared; matches among them are missed unseen."]
    if blocking.get("dropped_pairs"):
        said.append(
            f"{blocking['dropped_pairs']:,} pairs were not compared because their blocks were too "
            f"large."
        )
    return said
