"""Typological distances between languages, from the data of the package urielplus, which is optional."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.utils.errors import UserError, first_line

INSTALL = "pip install 'iglue_plugins[advise]'"
DATABASE = Path("database/original_uriel")  # in the package, as of its version 1.3
# File and prefix of the features of each distance.
FEATURES = {
    "syntactic": ("features.npz", "S_"),
    "phonological": ("features.npz", "P_"),
    "inventory": ("features.npz", "INV_"),
    "genetic": ("family_features.npz", ""),
    "geographic": ("geocoord_features.npz", ""),
}

Floats = NDArray[np.float64]


def is_installed() -> bool:
    """Tell whether the packages of the extra `advise` are installed; neither is imported."""
    return all(importlib.util.find_spec(name) for name in ("urielplus", "langcodes"))


def distances(languages: Sequence[str]) -> dict[str, Floats]:
    """Compute the distances between languages.

    The files of urielplus are read as they are: its class copies them into its own folder and sets up logging when it
    is imported, and takes seconds for a genetic distance. A feature of several sources is present if any source says
    so, as in urielplus by default.

    Args:
        languages: Codes of ISO 639-1 or ISO 639-3, L of them.

    Returns:
        (L, L) float64 by the name of the distance, from 0 to 1; NaN between languages that no feature is known of in
        common.

    Raises:
        UserError: The files of urielplus are missing or damaged.

    Source:
        URIEL (Littell et al. 2017, EACL) and URIEL+ (Khan et al. 2025, COLING), whose angular distance this is.
    """
    codes = [_iso_639_3(language) for language in languages]
    read = {file: _vectors(codes, file) for file in {file for file, _ in FEATURES.values()}}
    found = {}
    for name, (file, prefix) in FEATURES.items():
        features, vectors = read[file]
        found[name] = _angular_distances(vectors[:, [feature.startswith(prefix) for feature in features]])
    return found


def _iso_639_3(language: str) -> str:
    import langcodes

    try:
        return str(langcodes.Language.get(language).to_alpha3())
    except (LookupError, ValueError):  # a code of the user's own; urielplus knows nothing of it
        return language


def _vectors(codes: Sequence[str], file: str) -> tuple[list[str], Floats]:
    """Read the names of features, and those of languages: (L, features), 0 to 1; NaN where one is not known."""
    spec = importlib.util.find_spec("urielplus")
    assert spec is not None and spec.submodule_search_locations is not None  # is_installed was asked before
    path = Path(spec.submodule_search_locations[0]) / DATABASE / file
    try:
        with np.load(path, allow_pickle=False) as arrays:
            place = {str(language): position for position, language in enumerate(arrays["langs"])}
            names, data = [str(name) for name in arrays["feats"]], arrays["data"]
        vectors = np.full((len(codes), len(names)), np.nan)
        for row, code in enumerate(codes):
            if code in place:
                vectors[row] = data[place[code]].max(-1)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"{path}: cannot be read ({first_line(error)}); install urielplus 1.3 again: {INSTALL}"
        ) from error
    return names, np.where(vectors < 0, np.nan, vectors)


def _angular_distances(vectors: Floats) -> Floats:
    """Compute 2 / pi times the angle between rows, over the features that both have: (L, L)."""
    found = np.full((len(vectors), len(vectors)), np.nan)
    for i, one in enumerate(vectors):
        for j, other in enumerate(vectors):
            common = ~(np.isnan(one) | np.isnan(other))
            norms = np.linalg.norm(one[common]) * np.linalg.norm(other[common])
            if norms > 0:
                found[i, j] = 2 / np.pi * np.arccos(np.clip(one[common] @ other[common] / norms, -1, 1))
    return found
