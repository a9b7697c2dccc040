"""A linkage unit's identity: the secret that opens what is sealed to its recipient."""

from __future__ import annotations

import os
from os import PathLike

from pprl.errors import MissingDependency, OutputExists, UnreadableFile


def new_identity(path: str | PathLike[str]) -> str:
    """Make an age identity, write it readable by its owner only, return its recipient.

    The file is as ``age-keygen`` writes it, so the plain ``age`` program takes it too.

    Args:
        path: File to write (mode 0600).

    Returns:
        The public half, ``age1...``, to give to the data holders.

    Raises:
        OutputExists: There is a file already; an identity is never overwritten.
        UnreadableFile: The folder does not exist or cannot be written to.
        MissingDependency: pyrage is not installed.
    """
    try:
        import pyrage
    except ImportError:
        raise MissingDependency(
            "an identity needs the package pyrage. Install it: pip install 'pprl[sealing]'"
        ) from None
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OutputExists(f"{path} exists. An identity is never overwritten.") from None
    except OSError as error:
        raise UnreadableFile(f"cannot write {path}: {error.strerror}.") from None
    with os.fdopen(handle, "w") as file:
        file.write(f"# public key: {recipient}\n{identity}\n")
    return recipient
