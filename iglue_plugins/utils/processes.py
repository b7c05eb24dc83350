"""Processes that work for another one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable


def end_with_parent() -> None:
    """End this process, whatever it is doing, when the process that has started it by multiprocessing is gone."""
    _call_after_parent(lambda: os._exit(1))


def terminate_with_parent() -> None:
    """Send this process SIGTERM when the process that has started it by multiprocessing is gone.

    A training that gets it saves a checkpoint before it ends.
    """
    _call_after_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))


def _call_after_parent(end: Callable[[], None]) -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        end()

    threading.Thread(target=wait, daemon=True).start()
