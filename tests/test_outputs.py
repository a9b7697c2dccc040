"""Outputs appear whole or not at all: full disks, kills between renames, who may read them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import pprl
from pprl.cli import app
from pprl.errors import OutputExists, UnwritableFile, UsageError
from pprl.exchange import atomic
from pprl.exchange.atomic import output_folder, refuse_existing, whole_file, whole_files
from pprl.exchange.files import write_table
from pprl.exchange.identities import new_identity
from pprl.linkage.pseudonyms import PseudonymKey

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork")


def three_files(folder: Path) -> None:
    paths = [folder / name for name in ("one", "two", "three")]
    with whole_files(*paths) as temporaries:
        for temporary in temporaries:
            temporary.write_text("whole")


def a_folder(folder: Path) -> None:
    with output_folder(folder / "out", ["one", "in/two"]) as staged:
        (staged / "in").mkdir()
        (staged / "one").write_text("whole")
        (staged / "in" / "two").write_text("whole")


def a_folder_that_is_there(folder: Path) -> None:
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out" / "other").write_text("theirs")
    a_folder(folder)


def a_key(folder: Path) -> None:
    pprl.LinkageKey.generate().save(folder / "project.key")


WRITERS = [three_files, a_folder, a_folder_that_is_there, a_key]


def left_in(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and ".part" not in str(path)
    }


@posix
@pytest.mark.parametrize("write", WRITERS)
def test_killed_at_every_step_and_run_again(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """A process that dies at the k-th change of a name: a rerun works, and all is there."""
    write(tmp_path / "whole" if (tmp_path / "whole").mkdir() is None else tmp_path)
    expected = left_in(tmp_path / "whole")
    for kth in range(1, 30):
        folder = tmp_path / str(kth)
        folder.mkdir()
        child = os.fork()
        if not child:
            _die_at(kth)
            write(folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            break
        # Refused only where the last file was there: the marker was gone, the process not yet.
        with contextlib.suppress(OutputExists):
            write(folder)
        assert left_in(folder) == expected
        assert not [*folder.rglob("*.unfinished")]
    else:
        raise AssertionError("it never ended")
    assert kth > 1


def _die_at(kth: int) -> None:
    """End this process in place of its k-th rename, link or removal of a marker."""
    seen = [0]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **options: Any) -> Any:
            seen[0] += 1
            if seen[0] == kth:
                os._exit(9)
            return real(*arguments, **options)

        return instead

    for name in ("rename", "replace", "link", "unlink"):
        setattr(os, name, counted(getattr(os, name)))


def test_what_a_marker_does_not_describe_stays(tmp_path: Path) -> None:
    """A marker, from wherever it came, removes no file but the command's own leftovers."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "other").write_text("other")
    (tmp_path / ".mine.unfinished").write_text('{"mine": [1, 2, 3], "../x": 1, "other": []}')
    with pytest.raises(OutputExists):
        refuse_existing(tmp_path / "mine")
    (tmp_path / ".mine.unfinished").write_text("[" * 100_000)
    with pytest.raises(OutputExists):
        refuse_existing(tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "other").read_text() == "other"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EIO])
@pytest.mark.parametrize("write", WRITERS)
def test_a_disk_that_fails_at_every_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None], code: int
) -> None:
    """The error names the place; nothing is left; a rerun works."""
    real = {name: getattr(os, name) for name in ("open", "fsync", "rename", "replace", "link")}
    for kth in range(1, 40):
        folder = tmp_path / str(kth)
        folder.mkdir()
        seen = [0]

        def failing(name: str) -> Callable[..., Any]:
            def instead(*arguments: Any, **options: Any) -> Any:
                if name == "open" and not arguments[1] & os.O_CREAT:
                    return real[name](*arguments, **options)
                seen[0] += 1  # noqa: B023
                if seen[0] == kth:  # noqa: B023
                    raise OSError(code, os.strerror(code))
                return real[name](*arguments, **options)

            return instead

        with monkeypatch.context() as patched:
            for name in real:
                patched.setattr(os, name, failing(name))
            try:
                write(folder)
                done = True
            except UnwritableFile as error:
                done = False
                assert str(folder) in str(error)
                if code == errno.ENOSPC:
                    assert "the disk that holds" in str(error)
        if done and seen[0] < kth:
            break
        assert not [*folder.rglob("*.part")]
        if not done:
            assert left_in(folder) <= {"out/other"}
            write(folder)
    else:
        raise AssertionError("it never ended")


def test_a_full_disk_in_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    done = CliRunner().invoke(app, ["keygen", str(tmp_path / "a.key")])
    assert isinstance(done.exception, UnwritableFile)
    assert "is full" in str(done.exception)
    assert not [*tmp_path.iterdir()]


@posix
def test_what_identifies_is_for_its_owner_only(tmp_path: Path) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    before = os.umask(0o022)
    try:
        write_table(pa.table({"left_id": ["a"]}), tmp_path / "links.parquet")
        with whole_file(tmp_path / "report.html") as temporary:
            temporary.write_text("x")
        a_key(tmp_path)
        pytest.importorskip("pyrage")
        new_identity(tmp_path / "unit.txt")
    finally:
        os.umask(before)
    modes = {path.name: mode(path) for path in tmp_path.iterdir()}
    assert modes == {
        "links.parquet": 0o600,
        "project.key": 0o600,
        "unit.txt": 0o600,
        "report.html": 0o644,
    }


KEY = "pprl1-" + "abcdefgh" * 7


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"pprl-pseudonyms1-abc", "a pseudonym key"),
        (b"# created: 2026\n# public key: age1x\nAGE-SECRET-KEY-1ABC\n", "an age identity"),
        (b"AGE-SECRET-KEY-1ABCDEFGH", "an age identity"),
        (b"age-encryption.org/v1\n", "a sealed file"),
        (b"PAR1" + bytes(60), "a Parquet file"),
        (b"id,surname\n1,Jansen\n2,Vries\n", "a table"),
        (b"-----BEGIN PRIVATE KEY-----\nabc", "PEM"),
        (b'{"clks": ["abcdefghijklmnop"]}', "a JSON document"),
    ],
)
def test_wrong_kinds_of_key_files(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "wrong.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UsageError, match=kind):
        pprl.LinkageKey.load(path)
    if "pseudonym" not in kind:
        with pytest.raises(UsageError, match="not a pseudonym key"):
            PseudonymKey.load(path)
    if "age" not in kind:
        pytest.importorskip("pyrage")
        from pprl.exchange.sealing import read_identities

        with pytest.raises(UsageError, match="identity file"):
            read_identities(path)


def local_variables(error: BaseException) -> str:
    """What a traceback that shows local variables shows of the frames of pprl."""
    found = []
    one: BaseException | None = error
    while one is not None:
        trace = one.__traceback__
        while trace is not None:
            if "/pprl/" in trace.tb_frame.f_code.co_filename.replace(os.sep, "/"):
                found.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next
        one = one.__context__
    return "\n".join(found)


def test_a_mistyped_key_shows_in_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad.key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    monkeypatch.setenv("SOME_KEY", KEY)
    reading, writing = os.pipe()
    os.write(writing, KEY.encode())
    os.close(writing)
    for attempt in (
        lambda: pprl.LinkageKey.load(path),
        lambda: pprl.LinkageKey.from_environment("SOME_KEY"),
        lambda: pprl.LinkageKey.from_descriptor(reading),
        lambda: pprl.LinkageKey.from_text(KEY),
    ):
        with pytest.raises(UsageError, match="checksum") as caught:
            attempt()
        assert KEY[6:20] not in local_variables(caught.value).lower()
        assert KEY[6:20] not in str(caught.value)
    path.write_text("pprl-pseudonyms1-" + KEY[6:])
    with pytest.raises(UsageError, match="checksum") as caught:
        PseudonymKey.load(path)
    assert KEY[6:20] not in local_variables(caught.value).lower()


def test_a_key_pasted_where_its_path_belongs_is_not_repeated(
    tmp_path: Path, people: pd.DataFrame, schema_file: Path
) -> None:
    people.to_csv(tmp_path / "people.csv", index=False)
    arguments = ["encode", str(tmp_path / "people.csv"), "-s", str(schema_file)]
    arguments += ["--id-column", "id", "-o", str(tmp_path / "out"), "-k"]
    for secret in (KEY, "correct horse battery staple", f"env:{KEY}", "hospital2026/secret"):
        done = CliRunner().invoke(app, [*arguments, secret])
        assert isinstance(done.exception, pprl.errors.PprlError)
        assert secret.removeprefix("env:") not in str(done.exception) + done.output
    with pytest.raises(UsageError, match="is itself a key"):
        pprl.LinkageKey.generate().save(tmp_path / KEY)
    with pytest.raises(UsageError, match="is itself a key"), whole_file(tmp_path / KEY):
        pass
