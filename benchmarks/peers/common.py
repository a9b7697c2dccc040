"""What the peers' runners share; imports nothing that is not in every environment.

A runner gets FOLDER with a.csv and b.csv (a column `id`, then what people are known by, all
text), links them at its own default and at a grid of thresholds, and prints what it did.
"""

import csv
import json
import re
import sys
import time
from pathlib import Path

GRID = [round(0.40 + 0.01 * step, 2) for step in range(60)]


class Run:
    """Times steps, keeps links by setting, prints one line of JSON."""

    def __init__(self, *packages):
        from importlib.metadata import version

        self.folder = Path(sys.argv[1])
        self.said = {"versions": {name: version(name) for name in packages}, "seconds": {}}
        self.links = {}
        self._start = time.perf_counter()

    def rows(self, name):
        with open(self.folder / f"{name}.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def start(self):
        self._start = time.perf_counter()

    def took(self, step):
        self.said["seconds"][step] = time.perf_counter() - self._start
        self._start = time.perf_counter()

    def keep(self, setting, pairs):
        """Remember links, pairs of row numbers; 'default', or a threshold for the oracle."""
        self.links[str(setting)] = [[int(i), int(j)] for i, j in pairs]

    def done(self):
        self.said["peak_mb"] = peak_mib()
        self.said["links"] = self.links
        print(json.dumps(self.said))


def peak_mib():
    """MiB; not ru_maxrss, which holds what the process that started this one took."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def greedy(scored, threshold):
    """One-to-one, most similar first."""
    left, right, found = set(), set(), []
    for score, i, j in scored:
        if score < threshold:
            break
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
            found.append((i, j))
    return found
