"""The names of Visual Genome's 1600 classes and 400 attributes, as bottom-up attention numbers them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

OBJECTS_FILE, ATTRIBUTES_FILE = "visual_genome_objects.txt", "visual_genome_attributes.txt"


@cache
def object_names() -> tuple[str, ...]:
    """Return the names of the 1600 classes; where a class has several, the first.

    Returns:
        The names by the number of the class; some classes share a name but for its spelling, such as 'broccoli' and
        'brocolli'.

    Source: `objects_vocab.txt` of peteanderson80/bottom-up-attention, as MILVLG/bottom-up-attention.pytorch has it.
    """
    return _read(OBJECTS_FILE)


@cache
def attribute_names() -> tuple[str, ...]:
    """Return the names of the 400 attributes; where an attribute has several, the first.

    Returns:
        The names by the number of the attribute.

    Source: `attributes_vocab.txt`, from where `object_names` has its names.
    """
    return _read(ATTRIBUTES_FILE)


def _read(name: str) -> tuple[str, ...]:
    return tuple((files(__package__) / name).read_text(encoding="utf-8").splitlines())
