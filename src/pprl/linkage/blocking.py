"""Ways of blocking, by the name under which the documentation shows them."""

from pprl.linkage.candidates.blocking import (
    Blocking,
    BlockingReport,
    BlockingUnion,
    HammingLSH,
    KeyBlocking,
    LambdaFold,
    PassReport,
    PSig,
)

__all__ = [
    "Blocking",
    "BlockingReport",
    "BlockingUnion",
    "HammingLSH",
    "KeyBlocking",
    "LambdaFold",
    "PSig",
    "PassReport",
]
