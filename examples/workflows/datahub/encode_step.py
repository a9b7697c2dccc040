"""Encode as a step of a pipeline: a configuration known by its hash in, a run crate out.

python encode_step.py PIPELINE.toml SHA256 DATA KEYFILE FOLDER [PYTHON]

PYTHON is the interpreter of the environment that pprl is installed in; by default this one.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _fair


def run(
    config: Path, expected: str, data: Path, key: Path, out: Path, python: str = sys.executable
) -> dict[str, object]:
    """Encode ``data`` as the configuration says; return the header of the encodings.

    Raises:
        SystemExit: The configuration is not the one that the pipeline knows, or encoding failed.
    """
    if _fair.sha256(config) != expected:
        sys.exit(f"{config.name} is not the configuration that the pipeline was approved with.")
    step = tomllib.loads(config.read_text())
    schema = config.with_name(step["schema"])
    started = dt.datetime.now(dt.UTC)
    encodings, rejects = out / "study.clk.parquet", out / "rejects.csv"
    command = [
        python, "-c", "from pprl.cli import main; main()", "encode", str(data),
        "-s", str(schema), "-k", str(key), "-o", str(encodings),
        "--id-column", step["id_column"], "--holder", step["holder"],
        "--on-invalid", step["on_invalid"], "--rejects", str(rejects),
        "--consent", step["consent"], "--json",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    header: dict[str, object] = json.loads(done.stdout)
    _fair.run_crate(
        out / "ro-crate-metadata.json",
        name=step["step"],
        description=f"{header['records']} records encoded; key check {header['key_check']}",
        instrument="pprl encode",
        started=started,
        used={
            "configuration": expected,
            "linkage schema": _fair.sha256(schema),
            "records of the study (not enclosed)": _fair.sha256(data),
        },
        made={
            "encodings (not enclosed)": _fair.sha256(encodings),
            "values that broke a rule": _fair.sha256(rejects),
        },
    )
    return header


if __name__ == "__main__":
    config, expected, data, key, out, *python = sys.argv[1:]
    header = run(Path(config), expected, Path(data), Path(key), Path(out), *python)
    print(json.dumps(header))
