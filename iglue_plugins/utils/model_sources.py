"""Where models come from: a folder or an id on a hub."""

from __future__ import annotations

import os
import re

HUB_SCHEME = "hf://"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LOCAL_PATH = re.compile(r"[/~]|\.{1,2}[/\\]|\\\\|[A-Za-z]:[/\\]")


def is_missing_folder(source: str) -> bool:
    """Tell whether a source is written as a folder that is not there, so that it is not looked for on a hub.

    Args:
        source: A folder or a hub id, such as google/siglip2-base-patch16-224.
    """
    return not os.path.isdir(source) and (source.startswith((".", "/", "~")) or source.count("/") > 1)


def is_hub_id(source: str) -> bool:
    """Tell whether a source is written as OWNER/NAME on a hub, and nothing of that name is there as a file or folder.

    Args:
        source: A folder, a file or a hub id.
    """
    return HUB_ID.fullmatch(source) is not None and ".." not in source and not os.path.exists(source)


def is_local_path(text: str) -> bool:
    """Tell whether a text is a path on this machine: written as one, or with a slash and there.

    Args:
        text: A path, a hub id or any other text.
    """
    return LOCAL_PATH.match(text) is not None or ("/" in text and os.path.exists(text))


def is_hub_uri(text: str) -> bool:
    """Tell whether a text is written as hf://OWNER/NAME or hf://OWNER/NAME@REVISION."""
    return text.startswith(HUB_SCHEME)


def split_hub_uri(text: str) -> tuple[str, str | None]:
    """Split hf://OWNER/NAME@REVISION.

    Args:
        text: A text for which `is_hub_uri` is true.

    Returns:
        The hub id, and the revision or None.
    """
    hub_id, _, revision = text.removeprefix(HUB_SCHEME).partition("@")
    return hub_id, revision or None
