"""Files that hold a secret: read without ever repeating what may be one, and told apart by kind."""

from __future__ import annotations

import os
import stat
import warnings
from os import PathLike

from pprl.errors import PprlWarning, UnreadableFile

_LONGEST = 64 << 10
SEVERAL_LINES = "a text of several lines, as a table is"
"""What `kind_of_key` says of such a text; a clkhash secret may be one, though a weak one."""

_KINDS = {
    b"pprl1-": "a linkage key",
    b"pprl-pseudonyms1-": "a pseudonym key",
    b"AGE-SECRET-KEY-": "an age identity",
    b"# created:": "an age identity",
    b"# public key:": "an age identity",
    b"age1": "an age recipient, which is no secret",
    b"age-encryption.org/": "a sealed file",
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a spreadsheet or another zip file",
    b"-----BEGIN OPENSSH PRIVATE KEY": "a signing key",
    b"-----BEGIN SSH SIGNATURE": "a signature",
    b"-----BEGIN": "a key or a certificate in PEM",
    b"ssh-": "a public key for SSH",
    b"{": "a JSON document",
    b"[": "a TOML or JSON document",
}


def read_key_file(
    path: str | PathLike[str], *, warn_readable: bool = True, strip: bool = True
) -> bytes:
    """Read a file that should hold a secret, without the white space around it.

    Args:
        path: The file.
        warn_readable: Warn if other users of the machine can read it.
        strip: Take off the white space; without, every byte is kept.

    Raises:
        UnreadableFile: It cannot be read. The name of a file that is not there is not repeated:
            where a path belongs, the key itself may have been pasted.
    """
    why = None
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_LONGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        why = "No such file or directory"
    except OSError as error:
        why = error.strerror or type(error).__name__
        if os.path.exists(path):
            why += f" ({path})"
    except ValueError:
        why = "it cannot be a file's name"
    if why is not None:
        raise UnreadableFile(
            f"the key file that was named cannot be read: {why}. Name the file; the key itself "
            f"never goes on a command line."
        )
    if len(content) > _LONGEST:
        del content
        raise UnreadableFile(f"{path} is larger than any key; is it a key file?")
    if warn_readable and os.name == "posix" and mode & 0o077:
        warnings.warn(
            f"key file {path} can be read by other users (mode {mode:04o}); run: chmod 600 {path}",
            PprlWarning,
            stacklevel=3,
        )
    return content.strip() if strip else content


def kind_of_key(content: bytes) -> str | None:
    r"""Say what a file holds, by how it begins; None for a secret of a form of its own.

    Example:
        >>> kind_of_key(b"age1qqqq")
        'an age recipient, which is no secret'
        >>> kind_of_key(b"patient_id,surname\n1,Jansen")
        'a text of several lines, as a table is'
    """
    for start, kind in _KINDS.items():
        if content.startswith(start):
            return kind
    if b"\n" in content or b"\r" in content:
        return SEVERAL_LINES
    return None
