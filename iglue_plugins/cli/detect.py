"""`iglue data detect`: regions of photographs by a detector of objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iglue_plugins.cli.options import DataRoot, load_task
from iglue_plugins.cli.stores import DTypeOption, JobsOption, print_store
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.lines import say
from iglue_plugins.utils.notices import quiet_libraries

if TYPE_CHECKING:
    from iglue_plugins.models.extraction.pictures import StorePictures

DEFAULT_DETECTOR = "vg-r101"
EXPORTED = (".h5", ".hdf5", ".tsv")

Detector = Annotated[str, typer.Option(help="vg-r101 (IGLUE's), or a detector of transformers: a hub id or a folder")]
Preset = Annotated[
    str | None, typer.Option(help="how boxes are chosen and read, such as iglue-36; default: the detector's usual")
]
Weights = Annotated[
    str | None, typer.Option(help="vg-r101's weights: a file, a folder or a hub id; default: the published ones")
]
Revision = Annotated[str | None, typer.Option(help="a commit, tag or branch of the hub")]
Boxes = Annotated[int | None, typer.Option(min=1, help="boxes of a picture, for detectors of transformers")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")]
Precision = Annotated[str, typer.Option(help="auto, float32 or bfloat16; auto is float32 on a CPU")]


def detect(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="[SOURCE] STORE",
            help="a folder of pictures, without its sub folders, and the folder of the store; with --task only the "
            "latter, which is the folder of stores where ids of images name a store",
        ),
    ],
    detector: Detector = DEFAULT_DETECTOR,
    preset: Preset = None,
    weights: Weights = None,
    revision: Revision = None,
    boxes: Boxes = None,
    task: Annotated[str | None, typer.Option(help="take the pictures of this task's images, such as xvnli")] = None,
    split: Annotated[str | None, typer.Option(help="of --task; default: all that are there")] = None,
    data_root: DataRoot = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="a setting of --task, such as pictures=FOLDER or hub=true"),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="pictures that a process takes at a time; default: 1 on a CPU, 8 on a GPU")
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    dtype: DTypeOption = "float16",
    jobs: JobsOption = "auto",
) -> None:
    """Make a store of the objects in photographs, as a detector finds them; goes on where a call was interrupted.

    `iglue data export` writes such a store as an H5 file or a TSV.
    """
    from iglue_plugins.models.detector.loading import load_detector
    from iglue_plugins.models.extraction.pipeline import (
        StoreOptions,
        make_store,
        parse_device,
        parse_jobs,
        parse_precision,
    )

    quiet_libraries()
    chosen = parse_device(device)
    batch = batch_size or (1 if chosen.type == "cpu" else 8)
    options = StoreOptions(batch, device, precision, dtype, parse_jobs(jobs))
    source, store = _places(places, task)
    if task is None:
        given = {"--split": split, "--data-root": data_root, "--set": override}
        for option in (option for option, value in given.items() if value is not None):
            raise UserError(f"{option}: is of a task; name one by --task, or leave the option out")
        pictures = _folder(source, store)
    else:
        pictures = _task_pictures(task, split, data_root, override or [], store)
    extractor = load_detector(detector, preset, weights, revision, parse_precision(precision, chosen), chosen, boxes)
    for folder, its_pictures in pictures.items():
        made, is_new = make_store(its_pictures, folder, extractor, options)
        print_store(folder, made, "" if is_new else "already detected, ")


def _places(places: list[Path], task: str | None) -> tuple[Path | None, Path]:
    """Return the folder of pictures, if there is one, and the folder to write."""
    if len(places) != (2 if task is None else 1):
        expected = "SOURCE and STORE" if task is None else "STORE alone, since the pictures are those of --task"
        raise UserError(f"{' '.join(map(str, places))}: found {len(places)} paths, expected {expected}")
    store = places[-1]
    if store.suffix.lower() in EXPORTED:
        folder = store.with_suffix("")
        raise UserError(
            f"{store}: a store is a folder, which an interrupted detection can go on with; name one, such as {folder}, "
            f"and write the file after it by `iglue data export {folder} {store}`"
        )
    return (None if task else places[0]), store


def _folder(source: Path | None, store: Path) -> dict[Path, StorePictures]:
    from iglue_plugins.models.extraction.pictures import FolderPictures

    assert source is not None  # `_places` has seen to it
    return {store: FolderPictures(source)}


def _task_pictures(
    name: str, split: str | None, data_root: Path | None, overrides: list[str], folder: Path
) -> dict[Path, StorePictures]:
    """Return the pictures of a task's images by the store that they belong into."""
    from iglue_plugins.models.extraction.pictures import SourcePictures
    from iglue_plugins.tasks.images import list_images

    task = load_task(name, data_root, overrides)
    found, notes = list_images(task, split)
    for note in notes:
        say(f"iglue: {note}")
    source = f"{name}/{split}" if split else name
    return {folder / of.store: SourcePictures(task.pictures, of.image_ids, of.prefix, source) for of in found}
