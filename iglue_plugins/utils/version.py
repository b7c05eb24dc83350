"""The version of this package, and of others."""

from __future__ import annotations

import importlib.metadata


def package_version() -> str:
    """Return the installed version, or "0+unknown" for a source tree that was never installed."""
    return version_of("iglue_plugins") or "0+unknown"


def version_of(package: str) -> str | None:
    """Return the version of an installed package, which is not imported; None if it is not installed.

    Args:
        package: The name of the distribution.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
