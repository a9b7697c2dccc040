"""Every error that pprl raises on purpose.

::

    PprlError
    ├── UsageError (ValueError)          exit code 2: an option or a document is wrong
    │   ├── SchemaError                  a schema document cannot be used
    │   │   └── UndoneHardening          its hardening is undone without the key
    │   ├── LinkageKeyError              a key is too short, mistyped or unreadable
    │   ├── PseudonymKeyError            a pseudonym key is mistyped or of another kind
    │   ├── JobError                     a job file cannot be used
    │   │   ├── JobChanged               what is to be resumed is not what was begun
    │   │   └── JobLocked                another process works in the job's folder
    │   ├── OutputExists                 an output is already there; nothing is overwritten
    │   └── MissingDependency            an optional package is not installed
    ├── DataError (ValueError)           exit code 3: the data cannot be used
    │   ├── MissingColumn                a column that was asked for is not there
    │   ├── RecordIdError                a record id is missing or not unique
    │   ├── EmptyInput                   there are no records
    │   ├── UnreadableFile               a file is missing, damaged or of another kind
    │   │   ├── NotSealed                an age file was expected
    │   │   ├── WrongRecipient           sealed for somebody else
    │   │   ├── TruncatedFile            sealed, and cut short
    │   │   ├── TamperedFile             sealed, and altered
    │   │   └── BadSignature             not signed by who is expected, or altered
    │   ├── UnwritableFile               a file cannot be written: disk full, read-only, no folder
    │   ├── InvalidValues                values break the rules of their field
    │   ├── TooManyPairs                 more pairs qualify than the caller allowed
    │   └── AuditFailed                  an attack got further than the caller allowed
    └── IncompatibleEncodings            exit code 4: files that must not be compared
        ├── LengthMismatch               CLKs of different lengths
        ├── SchemaMismatch               another schema
        ├── KeyMismatch                  the same schema, another linkage key
        └── EncodingMismatch             the same schema and key, yet another encoding

Warnings are `PprlWarning`, and `UndoneHardeningWarning` below it, for files that were encoded
by a hardening that has been undone since.

A message names the file, the row and the field, and says what to do. It never
holds the value of a record or any part of a key.
"""

from __future__ import annotations

from pprl.version import DISTRIBUTION

__all__ = [
    "AuditFailed",
    "BadSignature",
    "DataError",
    "EmptyInput",
    "EncodingMismatch",
    "IncompatibleEncodings",
    "InvalidValues",
    "JobChanged",
    "JobError",
    "JobLocked",
    "KeyMismatch",
    "LengthMismatch",
    "LinkageKeyError",
    "MissingColumn",
    "MissingDependency",
    "NotSealed",
    "OutputExists",
    "PprlError",
    "PprlWarning",
    "PseudonymKeyError",
    "RecordIdError",
    "SchemaError",
    "SchemaMismatch",
    "TamperedFile",
    "TooManyPairs",
    "TruncatedFile",
    "UndoneHardening",
    "UndoneHardeningWarning",
    "UnreadableFile",
    "UnwritableFile",
    "UsageError",
    "WrongRecipient",
]


class PprlError(Exception):
    """The base of every error below; never raised itself."""

    exit_code = 1


class UsageError(PprlError, ValueError):
    """An argument or an option cannot be used."""

    exit_code = 2


class SchemaError(UsageError):
    """A schema document is malformed or asks for something impossible."""


class UndoneHardening(SchemaError):
    """The schema's hardening is undone without the key; nothing new is encoded by it."""


class LinkageKeyError(UsageError):
    """A linkage key is too short, mistyped or cannot be read."""


class PseudonymKeyError(UsageError):
    """A pseudonym key is mistyped, or is a key of another kind."""


class JobError(UsageError):
    """A job file is malformed, or asks for something impossible."""


class JobChanged(JobError):
    """Inputs, options or versions are not those of the job that is to be resumed."""


class JobLocked(JobError):
    """Another process works in the job's folder."""


class OutputExists(UsageError):
    """An output is already there; nothing is ever overwritten."""


class MissingDependency(UsageError):
    """An optional package is needed and not installed."""

    @classmethod
    def of(cls, what: str, extra: str) -> MissingDependency:
        """Say what needs a package, and which extra of the distribution brings it.

        Examples:
            >>> str(MissingDependency.of("sealing needs the package pyrage", "sealing"))
            "sealing needs the package pyrage. Install it: pip install 'pprl-linkage[sealing]'"
        """
        return cls(f"{what}. Install it: pip install '{DISTRIBUTION}[{extra}]'")


class DataError(PprlError, ValueError):
    """The data cannot be used."""

    exit_code = 3


class MissingColumn(DataError):
    """A column that the schema or the caller names is not in the data."""


class RecordIdError(DataError):
    """A record id is missing, or two records share one."""


class EmptyInput(DataError):
    """There are no records."""


class UnreadableFile(DataError):
    """A file is missing, damaged, or not of the expected kind."""


class NotSealed(UnreadableFile):
    """An age file was expected, and this is none."""


class WrongRecipient(UnreadableFile):
    """A file is sealed for somebody else."""


class TruncatedFile(UnreadableFile):
    """A sealed file was cut short."""


class TamperedFile(UnreadableFile):
    """A sealed file was altered."""


class BadSignature(UnreadableFile):
    """A file is not signed by one of those who are expected, or was altered since."""


class UnwritableFile(DataError):
    """A file cannot be written: the disk is full or read-only, or there is no folder."""


class InvalidValues(DataError):
    """Values break the rules of their field."""


class TooManyPairs(DataError):
    """More pairs qualify than the caller allowed."""


class AuditFailed(DataError):
    """An attack on encodings got further than the caller allows."""


class IncompatibleEncodings(PprlError):
    """Two sets of encodings must not be compared."""

    exit_code = 4


class LengthMismatch(IncompatibleEncodings):
    """The CLKs have different lengths."""


class SchemaMismatch(IncompatibleEncodings):
    """The encodings were made with different schemas."""


class KeyMismatch(IncompatibleEncodings):
    """The encodings were made with the same schema and different linkage keys."""


class EncodingMismatch(IncompatibleEncodings):
    """Same schema and key, and yet the same people are encoded differently."""


class PprlWarning(UserWarning):
    """Something that is allowed and that the user should know about."""


class UndoneHardeningWarning(PprlWarning):
    """A file was encoded by a hardening that is undone without the key."""
