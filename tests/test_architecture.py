"""The walls between the rooms, and what an import costs."""

from __future__ import annotations

import subprocess
import sys

import pprl

HEAVY = ("numba", "scipy", "dask", "matplotlib", "pyrage", "pandas", "pyarrow", "pydantic")


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_is_light() -> None:
    assert not modules_after("import pprl") & set(HEAVY)


def test_the_linkage_unit_never_loads_the_holders_room() -> None:
    loaded = modules_after(
        "import pprl.linkage.link, pprl.linkage.compare, pprl.exchange.files, pprl.exchange.links"
    )
    assert not [name for name in loaded if name.startswith("pprl.holder")]


def test_synthetic_people_load_no_room() -> None:
    loaded = modules_after("import pprl.synthetic")
    # pyarrow itself loads pandas when it makes an array.
    assert not loaded & (set(HEAVY) - {"pandas", "pyarrow"})
    rooms = ("pprl.holder", "pprl.linkage", "pprl.exchange", "pprl.evaluation", "pprl.kernels")
    assert not [name for name in loaded if name.startswith(rooms)]


def test_public_names() -> None:
    """`__all__` is sorted, complete, and every name can be imported."""
    assert pprl.__all__ == sorted(pprl.__all__)
    assert set(pprl.__all__) == set(pprl._HOMES)
    for name in pprl.__all__:
        assert getattr(pprl, name).__name__ == name
    assert pprl.__version__
