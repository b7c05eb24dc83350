"""The version of this package."""

from __future__ import annotations

import importlib.metadata


def package_version() -> str:
    """Return the installed version, or "0+unknown" for a source tree that was never installed."""
    try:
        return importlib.metadata.version("iglue_plugins")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"
