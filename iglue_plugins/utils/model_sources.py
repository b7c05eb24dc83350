"""Where models come from: a folder or an id on a hub."""

from __future__ import annotations

from pathlib import Path


def is_missing_folder(source: str) -> bool:
    """Tell whether a source is written as a folder that is not there, so that it is not looked for on a hub.

    Args:
        source: A folder or a hub id, such as google/siglip2-base-patch16-224.
    """
    return not Path(source).is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1)
