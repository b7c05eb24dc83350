"""The notices of libraries."""

from __future__ import annotations


def quiet_libraries() -> None:
    """Silence the notices and progress bars of transformers, and the notices of its hub, which would bury our own."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    hub_logging.set_verbosity_error()
