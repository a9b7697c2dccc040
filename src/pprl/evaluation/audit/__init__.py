"""The privacy audit: what encodings give away, measured by attacking them.

For the data holder, before a file leaves the building. An attack that does not succeed
says so of itself, at the size at which it was run; it never says that a file is safe.
"""

from pprl.evaluation.audit.auditing import Audit, audit
from pprl.evaluation.audit.results import Attack

__all__ = ["Attack", "Audit", "audit"]
