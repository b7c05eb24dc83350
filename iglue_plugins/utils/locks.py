"""Lock files, which keep other processes from the same work and say who holds them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import time
import uuid
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from iglue_plugins.utils.lines import say

POLL_SECONDS = 0.25
HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}  # what a lock that another process holds fails with
MAX_RECORD = 1024  # bytes of a lock file that are read; filelock's records have some hundred at most


class LockFile:
    """A lock that ends with its process, where the file system can lock files.

    Where it cannot (flock fails with ENOSYS, ENOLCK, ENOTSUP, EIO, 524), the existence of the file is the lock, and a
    line on standard error says so. A process that is killed then leaves the file behind. If the process was on this
    machine, the next one removes it; otherwise the user has to.

    The file holds the process number and the host name of its holder, a line each, and is as old as the lock.

    Args:
        path: The lock file; its folder must exist when the lock is taken.
        subject: What is locked, named in messages.
    """

    def __init__(self, path: Path, subject: Path) -> None:
        self.path = path
        self.subject = subject
        self._lock: BaseFileLock | None = None  # made when the lock is first taken
        self._named = ""  # the holder that `wait` has named last

    def acquire(self, seconds: float = 0) -> bool:
        """Take the lock, unless another process holds it for as long as this one waits.

        Args:
            seconds: How long to wait.

        Returns:
            Whether this process has the lock now.

        Raises:
            OSError: The lock file cannot be written or locked.
        """
        if self._lock is None:
            self._lock = self._make_lock()
        try:
            self._lock.acquire(timeout=seconds)
        except Timeout:
            return False
        if not isinstance(self._lock, SoftFileLock):  # which writes the same itself
            with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
                self.path.write_text(f"{os.getpid()}\n{socket.gethostname()}\n")
        return True

    def _make_lock(self) -> BaseFileLock:
        """Choose the kind of lock by locking another file of the folder.

        A failed flock on the lock file itself would leave a file that looks like another process's lock.
        """
        probe = self.path.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            with FileLock(probe, fallback_to_soft=False):
                pass
        except OSError as error:
            if error.filename is not None:  # not flock, but the folder cannot be written
                raise
            say(
                f"{self.subject}: the file system cannot lock files ({error.strerror}), so the existence of "
                f"{self.path} is the lock; delete that file if its process has been killed on another machine",
            )
            return SoftFileLock(self.path, poll_interval=POLL_SECONDS)
        finally:
            probe.unlink(missing_ok=True)
        return FileLock(self.path, poll_interval=POLL_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Wait for the lock for some time, and say on standard error who holds it, once for each holder.

        Args:
            seconds: How long to wait if another process holds the lock.

        Returns:
            Whether this process has the lock now.

        Raises:
            OSError: The lock file cannot be written or locked.
        """
        if self.acquire():
            return True
        holder = self.holder()
        if holder != self._named:
            self._named = holder
            say(
                f"{self.subject}: waiting for the lock {self.path}, held by {holder}; if that process is gone, delete "
                "this file",
            )
        return self.acquire(seconds)

    def holder(self) -> str:
        """Describe the process that holds the lock.

        Returns:
            Its number, its host and the time since when, as far as the file tells.
        """
        try:
            with self.path.open("rb") as file:
                lines = file.read(MAX_RECORD).decode("ascii", "backslashreplace").splitlines()
                since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(os.fstat(file.fileno()).st_mtime))
        except OSError:
            return "another process"
        if len(lines) < 2 or not lines[0].isdigit() or not lines[1].isprintable():
            return f"a process that is not named, since {since}"
        return f"process {lines[0]} on {lines[1].partition('?')[0]} since {since}"  # filelock adds ?pidns-... to a host

    def held_by(self) -> str | None:
        """Say which other process holds the lock, without taking it or writing anything.

        Where the file system cannot lock files, the file's existence counts, unless its process was one of this machine
        and is gone.

        Returns:
            The process, as `holder` describes it; None if no process holds the lock.
        """
        try:
            with self.path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back when the file is closed
        except FileNotFoundError:
            return None
        except OSError as error:
            return self.holder() if error.errno in HELD or not self._has_died() else None
        return None

    def _has_died(self) -> bool:
        """Tell whether the file names a process of this machine that is gone."""
        found = re.fullmatch(r"process (\d+) on (.*) since .*", self.holder())
        if found is None or found[2] != socket.gethostname():
            return False
        try:
            os.kill(int(found[1]), 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        return False

    def close(self) -> None:
        """Give the lock back, if this process has it, and remove the file."""
        if self._lock is not None and self._lock.is_locked:
            if not isinstance(self._lock, SoftFileLock):  # which removes its file itself
                with contextlib.suppress(OSError):
                    self.path.unlink()  # before the lock is given back: a waiting process makes its own file
            self._lock.release()
