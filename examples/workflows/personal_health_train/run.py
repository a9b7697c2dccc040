"""Linkage as a train, on the mock networks of vantage6 4 and 5.

python examples/workflows/personal_health_train/run.py --size small|full [-o FOLDER]

Builds an environment for either version, once, in ``environments`` beside this file (or where
PPRL_TRAIN_ENVIRONMENTS says). A version whose Python is not there is left out, loudly.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyrage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import (
    COLUMNS,
    ERRORS,
    Clock,
    Figure,
    draw,
    finish,
    judge,
    options,
    population,
    project_key,
)

import pprl
from pprl import synthetic
from pprl.linkage.cascade import exact_clusters

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]
VERSIONS = {"v4": ("3.11", "4.15.2"), "v5": ("3.13", "5.0.3")}
ENVIRONMENTS = Path(os.environ.get("PPRL_TRAIN_ENVIRONMENTS", HERE / "environments"))
STATIONS = {
    "study": synthetic.Register(name="study", coverage=0.15, columns=COLUMNS, errors=ERRORS),
    "registry": synthetic.Register(
        name="registry",
        coverage=0.3,
        columns=COLUMNS,
        first_names="initials",
        letters="upper",
        diacritics=False,
        errors=ERRORS,
    ),
}


def interpreter(version: str) -> str | None:
    """Find a Python of this version: on the path, or of pyenv."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    found = shutil.which(f"python{version}")
    if found and not subprocess.run([found, "-V"], capture_output=True, check=False).returncode:
        return found
    roots = [os.environ.get("PYENV_ROOT", ""), str(Path.home() / ".pyenv")]
    for root in filter(None, roots):
        for one in sorted(Path(root).glob(f"versions/{version}.*/bin/python"), reverse=True):
            return str(one)
    return None


def environment(name: str) -> Path | None:
    """Build the environment of a version unless it is there; None without its Python."""
    python, vantage6 = VERSIONS[name]
    folder = ENVIRONMENTS / name
    own, ready = folder / "bin" / "python", folder / ".ready"
    if ready.exists():
        return own
    base = interpreter(python)
    if base is None:
        print(f"LEFT OUT: {name} needs Python {python}, which is not here", file=sys.stderr)
        return None
    print(f"building the environment of vantage6 {vantage6}; this takes minutes", flush=True)
    subprocess.run([base, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(own), "-m", "pip", "install", "--quiet"]
    tools = f"vantage6-algorithm-tools=={vantage6}"
    subprocess.run([*install, tools, f"{PROJECT}[sealing]"], check=True)
    ready.touch()
    return own


def settings(folder: Path, data: list[Path], unit: int) -> dict[str, object]:
    """Set the nodes up as their administrators would, each with its own files."""
    identity = pyrage.x25519.Identity.generate()
    stores = {name: folder / name for name in (*STATIONS, "unit")}
    for store in stores.values():
        store.mkdir(parents=True)
    (stores["unit"] / "identity.txt").write_text(f"{identity}\n")
    pprl.PseudonymKey.generate().save(stores["unit"] / "unit.key")
    key = project_key()
    nodes = []
    for name in STATIONS:
        key.save(stores[name] / "project.key")
        nodes.append(
            {
                "PPRL_KEY_FILE": str(stores[name] / "project.key"),
                "PPRL_SCHEMA": str(HERE / "schema.toml"),
                "PPRL_SEAL_TO": str(identity.to_public()),
            }
        )
    nodes.append(
        {
            "PPRL_IDENTITY": str(stores["unit"] / "identity.txt"),
            "PPRL_PSEUDONYM_KEY": str(stores["unit"] / "unit.key"),
        }
    )
    common = [{"PPRL_NAME": name, "PPRL_STORE": str(path)} for name, path in stores.items()]
    return {
        "data": [str(path) for path in data],
        "linkage_unit": unit,
        "nodes": [
            own | more | {"PPRL_LINKAGE_UNIT": str(unit)}
            for own, more in zip(common, nodes, strict=True)
        ],
        "out": str(folder / "report.json"),
    }


def travel(name: str, python: Path, folder: Path, data: list[Path]) -> dict[str, dict[str, object]]:
    """Run the train on one version's mock network; return its report."""
    unit = {"v4": 0, "v5": len(STATIONS) + 1}[name]
    path = folder / f"{name}.json"
    path.write_text(json.dumps(settings(folder / name, data, unit)))
    # The train and pprl as they stand here; the environment has what they need.
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE / "train"), str(PROJECT / "src")])
    }
    done = subprocess.run(
        [str(python), str(HERE / f"mock_{name}.py"), str(path)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the train did not arrive on {name}:\n{done.stderr[-3000:]}")
    report: dict[str, dict[str, object]] = json.loads((folder / name / "report.json").read_text())
    return report


def arrived(folder: Path) -> tuple[int, pprl.Clusters]:
    """Read the stations' pseudonyms and the crosswalk; return clusters of record ids."""
    research = pd.read_parquet(folder / "unit" / "research.parquet")
    parts = []
    for name in STATIONS:
        own = pd.concat(map(pd.read_parquet, (folder / name).glob("pseudonyms-*.parquet")))
        parts.append(own.merge(research[research["holder"] == name], on="pseudonym"))
    both = pd.concat(parts).rename(columns={"research_pseudonym": "cluster_id"})
    columns = ["cluster_id", "holder", "record_id"]
    return len(both), pprl.Clusters(pa.Table.from_pandas(both[columns], preserve_index=False))


def main() -> None:
    """Play stations and linkage unit on both versions."""
    given = options("train", __doc__, small=10_000, full=500_000)
    folder, clock = given.output, Clock()
    environments = {name: environment(name) for name in VERSIONS}
    people = population(folder, given.persons)
    drawn = {name: draw(people, one) for name, one in STATIONS.items()}
    truth = pd.concat([known.assign(holder=name) for name, (_, known) in drawn.items()])
    data = [path for path, _ in drawn.values()]

    runs, found = {}, None
    for name, python in environments.items():
        if python is None:
            runs[f"vantage6 {VERSIONS[name][1]}"] = f"left out: no Python {VERSIONS[name][0]}"
            continue
        with clock.counted():
            report = travel(name, python, folder, data)
        for what, message in report["refused"].items():
            if not message:
                sys.exit(f"{name}: a task that had to be refused for its {what} ran")
        records, found = arrived(folder / name)
        quality = judge(found, truth, *STATIONS)
        runs[f"vantage6 {VERSIONS[name][1]}"] = {
            "refused": report["refused"],
            "pseudonyms written": records,
            "recall": round(quality.recall.value, 4),
            "precision": round(quality.precision.value, 4),
            "bytes a record": round(report["report"]["sealed_bytes"] / records),
        }
    if found is None:
        sys.exit("neither Python 3.11 nor 3.13 is here; nothing was shown")
    schema, key = pprl.Schema.load(HERE / "schema.toml"), project_key()
    files = [
        pprl.encode(path, schema, key, id_column="record_id", holder=name)
        for name, (path, _) in drawn.items()
    ]
    exact = judge(exact_clusters(*files, passes=["palga8"]), truth, *STATIONS)
    finish(
        Figure(
            workflow="personal_health_train",
            size=given.size,
            records=len(truth),
            links=quality.links,
            recall=quality.recall.value,
            precision=quality.precision.value,
            exact="palga8",
            exact_recall=exact.recall.value,
            exact_precision=exact.precision.value,
            seconds=clock.seconds,
            more=runs,
        ),
        folder,
    )


if __name__ == "__main__":
    main()
