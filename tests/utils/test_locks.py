"""Lock files on file systems that can lock files, that cannot, and that fail at it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iglue_plugins.utils.locks import LockFile

NO_FLOCK = [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EIO, 524]
HOLD = """
import sys
from pathlib import Path
from iglue_plugins.utils.locks import LockFile
lock = LockFile(Path(sys.argv[1]), Path("work"))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


@pytest.fixture
def lock(path: Path) -> LockFile:
    return LockFile(path, Path("work"))


@pytest.fixture
def without_flock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Gives a function that makes each flock of this process fail with an error number."""

    def fail(number: int) -> None:
        def flock(descriptor: int, operation: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)

    return fail


@pytest.fixture
def other_process(path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_a_lock_is_held_by_one_process_and_is_free_again_when_that_is_killed(
    other_process: subprocess.Popen, lock: LockFile
) -> None:
    assert not lock.acquire()
    assert re.fullmatch(
        rf"process {other_process.pid} on {re.escape(socket.gethostname())} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d",
        lock.holder(),
    )
    other_process.kill()
    other_process.wait()
    assert lock.acquire(5)
    assert lock.holder().startswith(f"process {os.getpid()} on {socket.gethostname()} since ")
    lock.close()
    assert list(lock.path.parent.iterdir()) == []


def test_whoever_waits_learns_once_who_holds_which_file(
    other_process: subprocess.Popen, lock: LockFile, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not lock.wait(0.1)
    assert not lock.wait(0.1)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"work: waiting for the lock {lock.path}, held by process {other_process.pid} on ")
    assert line.endswith("; if that process is gone, delete this file")


@pytest.mark.parametrize("number", NO_FLOCK)
def test_where_flock_fails_the_existence_of_the_file_is_the_lock(
    number: int, path: Path, without_flock: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    without_flock(number)
    first, second = (LockFile(path, Path(name)) for name in ("first", "second"))
    assert first.acquire()
    assert not second.acquire()
    assert second.holder().startswith(f"process {os.getpid()} on {socket.gethostname()} since ")
    first.close()
    assert second.acquire(5)
    second.close()
    assert list(path.parent.iterdir()) == []
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["first", "second"]
    assert all(
        f"cannot lock files ({os.strerror(number)}), so the existence of {path} is the lock" in line for line in lines
    )


@pytest.mark.parametrize("number", NO_FLOCK)
def test_a_lock_that_a_process_of_another_machine_left_may_be_deleted(
    number: int, path: Path, lock: LockFile, without_flock: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    without_flock(number)
    path.write_text("1234\nother-node?pidns-f0000\n77\n")
    os.utime(path, (0, 0))
    assert not lock.wait(0.1)
    said = capfd.readouterr().err
    assert f"waiting for the lock {path}, held by process 1234 on other-node since 19" in said
    path.unlink()
    assert lock.wait(0.1)
    lock.close()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"12", b"x\nnode\n", b"12\n\x1b[2Jnode\n", b"\xff\xff\n" * 9999])
def test_a_lock_file_of_any_content_is_described(path: Path, lock: LockFile, content: bytes) -> None:
    path.write_bytes(content)
    assert lock.holder().isprintable() and len(lock.holder()) < 60
    path.unlink()
    assert lock.holder() == "another process"


def test_a_folder_that_cannot_be_written_is_no_matter_of_locks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        LockFile(tmp_path / "file" / ".lock", Path("work")).acquire()


def test_a_lock_that_is_not_held_is_closed_without_a_word(path: Path, lock: LockFile) -> None:
    lock.close()
    path.touch()
    lock.close()
    assert path.exists()
