"""The most memory that a process has held, for benchmarks that run their work in a child."""

import re
from pathlib import Path


def peak_mib() -> float:
    """MiB resident at most since this process was started.

    Not `resource.getrusage`: its `ru_maxrss` holds what the process that started this one took.
    """
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024
