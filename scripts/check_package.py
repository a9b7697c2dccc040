"""Build wheel and sdist, install the wheel into an empty environment, and use it.

    python scripts/check_package.py

The environment has nothing but what the wheel asks for; the checkout is not on its path.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEEDED = ("pprl/py.typed", "pprl/schemas/febrl4.toml", "pprl/synthetic/data/names.toml")
USE = """
import importlib.metadata, json, pathlib, sys, warnings
import pprl
from pprl import synthetic
from pprl.errors import PprlWarning

# The key is random, and with some keys the estimate is doubtful, which is told.
warnings.filterwarnings("default", category=PprlWarning)

home = pathlib.Path(pprl.__file__).resolve()
assert home.is_relative_to(pathlib.Path(sys.prefix).resolve()), home
assert pprl.__version__ == importlib.metadata.version("pprl-linkage")
assert (home.parent / "py.typed").is_file()
synthetic.practice("people", persons=4000)
schema = pprl.Schema.load("schema.toml")
key = pprl.LinkageKey.load("project.key")
files = []
for holder in ("hospital", "registry"):
    pprl.encode(
        f"people/{holder}.csv", schema, key, id_column="record_id", holder=holder
    ).save(f"{holder}.clk.parquet")
    files.append(pprl.Encodings.load(f"{holder}.clk.parquet"))
result = pprl.link(*files)
quality = pprl.evaluate(result.links, "people/truth.csv", a=files[0], b=files[1])
print(f"{len(result.links)} links, F1 {quality.f1.value:.3f}")
assert quality.f1.value > 0.85
"""


def run(*command: object, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command; show everything it said if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}\nexit code {done.returncode}")
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """Build both, the wheel from the sdist, and look into them."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, folder=folder)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    missing = [name for name in NEEDED if name not in names]
    foreign = [name for name in names if not name.startswith(("pprl/", "pprl_linkage-"))]
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    missing += [name for name in ("pyproject.toml", "LICENSE", "README.md") if name not in inside]
    if missing or foreign:
        sys.exit(f"missing: {missing}, not pprl's: {foreign}")
    return wheel, sdist


def main() -> None:
    """Do all of it in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, sdist = build(folder)
        print(f"built {wheel.name}, {wheel.stat().st_size / 1e3:,.0f} kB, and {sdist.name}")
        venv.create(folder / "env", with_pip=True)
        binaries = folder / "env" / "bin"
        run(binaries / "python", "-m", "pip", "install", "--quiet", wheel, folder=folder)
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        clean["PATH"] = f"{binaries}{os.pathsep}{clean['PATH']}"
        steps = (
            ("pprl", "--version"),
            ("pprl", "--help"),
            ("pprl", "practice", "-o", "practice", "--persons", "4000"),
            ("pprl", "keygen", "project.key"),
            ("pprl", "schema", "suggest", "practice/hospital.csv", "-o", "schema.toml"),
            ("pprl", "schema", "check", "schema.toml"),
            ("python", "-W", "error", "-c", USE),
        )
        for step in steps:
            said = run(*step, folder=folder, environment=clean)
        print(f"installed and used: {said.strip()}")


if __name__ == "__main__":
    main()
