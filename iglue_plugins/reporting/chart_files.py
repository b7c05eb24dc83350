"""PNG files of charts that know what they show, so that a chart is drawn again only when that has changed.

Importing matplotlib and drawing takes longer than all the rest of a table; nothing here imports it.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from iglue_plugins.reporting.comparison import Comparison
from iglue_plugins.reporting.matrix import Matrix
from iglue_plugins.reporting.source_comparison import SourceComparison
from iglue_plugins.utils.files import write_atomic
from iglue_plugins.utils.version import package_version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Chart = Comparison | Matrix | SourceComparison  # what a chart shows
KEY = "iglue_plugins"  # of the PNG's text that holds the hash of what is drawn


def is_drawn(shown: Chart, path: Path) -> bool:
    """Tell whether a file holds the chart of these figures, drawn by this version of the package.

    Args:
        shown: The table.
        path: A PNG file that may be missing, damaged or of another origin.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get(KEY) == _content_hash(shown)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def save(figure: Figure, shown: Chart, path: Path) -> None:
    """Write a figure as a PNG file that `is_drawn` recognizes.

    Args:
        figure: The drawn figure.
        shown: The table that it shows.
        path: Where to write; the file is replaced when the new one is whole.

    Raises:
        UserError: The file cannot be written.
    """
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={KEY: _content_hash(shown)})
    write_atomic(path, png.getvalue())


def _content_hash(shown: Chart) -> str:
    content = json.dumps([package_version(), asdict(shown)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()
