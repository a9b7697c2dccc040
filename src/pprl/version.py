"""The installed version, and the name under which package indexes have it."""

from __future__ import annotations

from functools import cache

DISTRIBUTION = "pprl-linkage"
"""What `pip install` takes. On the public index ``pprl`` is somebody else's project."""


@cache
def library_version() -> str:
    """Return the version of the installed distribution.

    Examples:
        >>> library_version().count(".")
        2
    """
    from importlib.metadata import version

    return version(DISTRIBUTION)
