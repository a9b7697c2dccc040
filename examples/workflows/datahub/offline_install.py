"""Install pprl from a folder of wheels, without the network.

python offline_install.py WHEELS ENVIRONMENT [--whole]

Outside: fill WHEELS. With ``--whole`` it gets pprl and everything pprl needs, by pip download;
without, pprl's own wheel only, and the environment borrows the rest from this one (quick, for
trying out). Inside: make ENVIRONMENT from WHEELS alone (``--no-index``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


def fill(wheels: Path, *, whole: bool) -> None:
    """Build pprl's wheel and, for a whole set, fetch those of its dependencies."""
    command = ["wheel", "--quiet", "--wheel-dir", str(wheels), f"{PROJECT}[fair]"]
    if whole:
        _pip([*command, "--constraint", str(PROJECT / "constraints.txt")])
    else:
        _pip([*command, "--no-deps", "--no-build-isolation"])


def install(wheels: Path, environment: Path, *, whole: bool) -> Path:
    """Make an environment from the wheels; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    offline = ["--python", str(python), "install", "--quiet", "--no-index"]
    only = [] if whole else ["--no-deps"]
    _pip([*offline, "--find-links", str(wheels), "pprl-linkage[fair]", *only])
    if not whole:
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
        borrowed = Path(done.stdout.strip()) / "borrowed.pth"
        borrowed.write_text(sysconfig.get_path("purelib") + "\n")
    return python


def _pip(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("environment", type=Path)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    fill(given.wheels, whole=given.whole)
    print(install(given.wheels, given.environment, whole=given.whole))
