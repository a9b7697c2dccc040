"""Encode as a step of a pipeline: a configuration known by its hash in, a run crate out.

python encode_step.py PIPELINE.toml SHA256 DATA KEYFILE FOLDER [PYTHON]

PYTHON is the interpreter of the environment that pprl is installed in; by default this one.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path


def run(
    config: Path, expected: str, data: Path, key: Path, out: Path, python: str = sys.executable
) -> dict[str, object]:
    """Encode ``data`` as the configuration says; return the header of the encodings.

    Raises:
        SystemExit: The configuration is not the one that the pipeline knows, or encoding failed.
    """
    if hashlib.sha256(config.read_bytes()).hexdigest() != expected:
        sys.exit(f"{config.name} is not the configuration that the pipeline was approved with.")
    step = tomllib.loads(config.read_text())
    encodings = out / "study.clk.parquet"
    schema, facts = config.with_name(step["schema"]), config.with_name("facts.toml")
    said = _pprl(
        python, "encode", data, "-s", schema, "-k", key, "-o", encodings,
        "--id-column", step["id_column"], "--holder", step["holder"],
        "--on-invalid", step["on_invalid"], "--rejects", out / "rejects.csv", "--json",
        "--consent", step["consent"], "--provenance", f"{config.name}, SHA-256 {expected}",
    )  # fmt: skip
    _pprl(python, "describe", encodings, "--facts", facts, "-o", out / "about")
    header: dict[str, object] = json.loads(said)
    return header


def _pprl(python: str, *arguments: object) -> str:
    command = [python, "-c", "from pprl.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    config, expected, data, key, out, *python = sys.argv[1:]
    header = run(Path(config), expected, Path(data), Path(key), Path(out), *python)
    print(json.dumps(header))
