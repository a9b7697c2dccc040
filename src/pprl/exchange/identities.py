"""A linkage unit's identity: the secret that opens what is sealed to its recipient."""

from __future__ import annotations

from os import PathLike

from pprl.errors import MissingDependency
from pprl.exchange.atomic import write_secret


def new_identity(path: str | PathLike[str]) -> str:
    """Make an age identity, write it readable by its owner only, return its recipient.

    The file is as ``age-keygen`` writes it, so the plain ``age`` program takes it too.

    Args:
        path: File to write (mode 0600).

    Returns:
        The public half, ``age1...``, to give to the data holders.

    Raises:
        OutputExists: There is a file already; an identity is never overwritten.
        UnwritableFile: The folder does not exist or cannot be written to.
        MissingDependency: pyrage is not installed.
    """
    try:
        import pyrage
    except ImportError:
        raise MissingDependency.of("an identity needs the package pyrage", "sealing") from None
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    held = [f"# public key: {recipient}\n{identity}\n"]
    del identity
    write_secret(held.pop(), path, "An identity")
    return recipient
