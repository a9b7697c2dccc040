"""Encode as a step of a data-management pipeline, installed from a folder of wheels.

python examples/workflows/datahub/run.py --size small|full [-o FOLDER]
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import encode_step
import offline_install
from _common import (
    COLUMNS,
    ERRORS,
    Clock,
    Figure,
    draw,
    finish,
    options,
    population,
    project_key,
    short,
    true_pairs,
)

import pprl
from pprl import synthetic
from pprl.linkage.cascade import cascade, exact_pass_links

HERE = Path(__file__).parent
STUDY = synthetic.Register(
    name="study", coverage=((0, 0.0), (40, 0.1), (75, 0.1)), columns=COLUMNS, errors=ERRORS
)
HOSPITAL = synthetic.Register(
    name="hospital",
    coverage=((0, 0.1), (60, 0.3), (90, 0.6)),
    columns=COLUMNS,
    first_names="initials",
    letters="upper",
    diacritics=False,
    errors=ERRORS,
)


def main() -> None:
    """Play the pipeline, the hospital and the linkage unit."""
    given = options("datahub", __doc__, small=20_000, full=500_000)
    folder, clock = given.output, Clock()
    people = population(folder, given.persons)
    study, study_truth = draw(people, STUDY)
    hospital, hospital_truth = draw(people, HOSPITAL)

    # Offline installation: all wheels at full size, pprl's own at small size.
    whole = given.size == "full"
    wheels = folder / "wheels"
    offline_install.fill(wheels, whole=whole)
    python = offline_install.install(wheels, folder / "environment", whole=whole)
    where = subprocess.run(
        [str(python), "-c", "import pprl; print(pprl.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    ).stdout.strip()

    key_file = folder / "project.key"
    key = project_key()
    key.save(key_file)
    config = HERE / "pipeline.toml"
    approved = hashlib.sha256(config.read_bytes()).hexdigest()
    refused = _refused(folder, study, key_file, approved)
    with clock.counted():
        header = encode_step.run(config, approved, study, key_file, folder, str(python))
        schema = pprl.Schema.load(HERE / "schema.toml")
        b = pprl.encode(hospital, schema, key, id_column="record_id", holder="hospital")
        a = pprl.Encodings.load(folder / "study.clk.parquet")
        result = pprl.link(a, b)

    truth = true_pairs(study_truth, hospital_truth)
    quality = pprl.evaluate(result.links, truth)
    exact = pprl.evaluate(exact_pass_links(a, b, ["palga8"]).links, truth)
    turn = cascade(a, b, ["palga8"])
    finish(
        Figure(
            workflow="datahub",
            size=given.size,
            records=a.info.records + b.info.records,
            links=quality.links,
            recall=quality.recall.value,
            precision=quality.precision.value,
            exact="palga8",
            exact_recall=exact.recall.value,
            exact_precision=exact.precision.value,
            seconds=clock.seconds,
            more={
                "wheels": len(list(wheels.iterdir())),
                "pprl ran from": str(Path(where).relative_to(folder.resolve()).parts[0]),
                "records encoded by the step": header["records"],
                "a changed configuration was refused": refused,
                "cascade (palga8, then CLKs): recall, precision": short(
                    pprl.evaluate(turn.links, truth)
                ),
            },
        ),
        folder,
    )


def _refused(folder: Path, data: Path, key: Path, approved: str) -> bool:
    """Try the step with a configuration that somebody changed."""
    changed = folder / "changed.toml"
    changed.write_text((HERE / "pipeline.toml").read_text() + 'provenance = "added later"\n')
    try:
        encode_step.run(changed, approved, data, key, folder)
    except SystemExit:
        return not (folder / "study.clk.parquet").exists()
    return False


if __name__ == "__main__":
    main()
