"""SIGTERM, which clusters send some seconds before they kill a job."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class DeferredTermination:
    """Lets a block end in its own way when SIGTERM comes; the signal takes its usual effect after the block.

    A second SIGTERM takes effect at once. Where another handler is installed already, or outside the main thread, the
    signal does what it did.

    Attributes:
        is_requested: Whether SIGTERM has come.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._is_installed = False

    def __enter__(self) -> DeferredTermination:
        is_main = threading.current_thread() is threading.main_thread()
        self._is_installed = is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if self._is_installed:
            signal.signal(signal.SIGTERM, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_installed:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.is_requested and error is None:
            signal.raise_signal(signal.SIGTERM)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.is_requested = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
