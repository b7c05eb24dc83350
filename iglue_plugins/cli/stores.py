"""`iglue data convert` and `iglue data extract`: the commands that make region stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iglue_plugins.utils.lines import say
from iglue_plugins.utils.notices import quiet_libraries

if TYPE_CHECKING:
    from iglue_plugins.data.stores.format import StoreMetadata

Destination = Annotated[
    Path, typer.Argument(metavar="DESTINATION", help="the folder of the store, such as data/regions/flickr30k")
]
JobsOption = Annotated[
    str, typer.Option(help="processes that compute, or that read pictures for a GPU; auto or a number")
]
DTypeOption = Annotated[str, typer.Option(help="float16 or float32, which takes twice the room")]


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...", help="region features of the IGLUE release: H5 files, LMDBs, folders of .npy, TSVs"
        ),
    ],
    destination: Destination,
    format: Annotated[str, typer.Option(help="auto, h5, lmdb, npy or tsv")] = "auto",
    dtype: DTypeOption = "float16",
) -> None:
    """Make a store of region features from one or several SOURCEs; goes on where an interrupted conversion stopped."""
    from iglue_plugins.data.conversion.converter import convert as make_store

    store, is_new = make_store(sources, destination, format, dtype)
    print_store(destination, store, "" if is_new else "already converted, ")


def extract(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="a folder of pictures, without its sub folders")],
    destination: Destination,
    model: Annotated[str, typer.Option(help="a vision model: a hub id or a folder; also CLIP's or SigLIP's")],
    grid: Annotated[int, typer.Option(min=1, help="rows, and columns, of cells; a cell is a region")] = 6,
    revision: Annotated[str | None, typer.Option(help="a commit, tag or branch of the hub")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="pictures that the model computes at a time")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16; auto is float32 on a CPU")] = "auto",
    dtype: DTypeOption = "float16",
    jobs: JobsOption = "auto",
) -> None:
    """Make a store of region features from photographs; goes on where an interrupted extraction stopped.

    A region is a cell of a grid over the picture; its features are a vision model's.
    """
    from iglue_plugins.models.extraction.extractor import ExtractionOptions
    from iglue_plugins.models.extraction.extractor import extract as make_store
    from iglue_plugins.models.extraction.pipeline import parse_jobs

    quiet_libraries()
    options = ExtractionOptions(batch_size, device, precision, dtype, parse_jobs(jobs), grid)
    store, is_new = make_store(images, destination, model, revision, options)
    print_store(destination, store, "" if is_new else "already extracted, ")


def export(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="the folder of a store")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a new file, .h5 as IGLUE's or .tsv as LXMERT's")],
    suffix: Annotated[
        str, typer.Option(help="what names of images end in, as .jpg; xFlickr&Co's H5 files have it, others do not")
    ] = "",
) -> None:
    """Write a STORE as an H5 file or a TSV, for programs that read those."""
    from iglue_plugins.data.conversion.export import export_store

    images = export_store(store, file, suffix)
    print(f"{file}: {images} images")


def print_store(folder: Path, store: StoreMetadata, note: str) -> None:
    """Print what is in a store, and on standard error what was left out of it.

    Args:
        folder: The store's folder.
        store: What is in it.
        note: What to say first, or ''.
    """
    from iglue_plugins.data.checking import describe_images

    print(f"{folder}: {note}{store.images} images, {store.boxes} boxes of {store.feature_size} features, {store.dtype}")
    for reason, images in store.left_out.items():
        say(f"iglue: left out {describe_images(images)}: {reason}")
    for reason, count in store.noted.items():
        say(f"iglue: {count} image{'s' * (count > 1)} {reason}")
