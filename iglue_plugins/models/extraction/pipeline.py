"""The way from pictures to a store of their regions, whatever makes the regions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from PIL import Image

from iglue_plugins.data.conversion.converter import finished_store, parse_dtype
from iglue_plugins.data.conversion.destination import ConversionSettings, locked_destination
from iglue_plugins.data.conversion.images import SourceImage, check_image, unusable_image
from iglue_plugins.data.conversion.store_writer import StoreWriter
from iglue_plugins.data.loading import read_ahead, worker_count
from iglue_plugins.data.pictures.reading import PictureError
from iglue_plugins.data.stores.format import ExtractionSettings, StoreMetadata
from iglue_plugins.data.stores.objects import ObjectNames, Objects
from iglue_plugins.models.extraction.base import (
    PictureRegions,
    PreparedPicture,
    RegionExtractor,
    UnusablePictureError,
)
from iglue_plugins.models.extraction.pictures import StorePictures
from iglue_plugins.utils.bfloat16 import multiplies_bfloat16
from iglue_plugins.utils.errors import UserError, did_you_mean, first_line
from iglue_plugins.utils.progress import progress_bar
from iglue_plugins.utils.text import printable
from iglue_plugins.utils.threads import single_thread

PrecisionName = Literal["float32", "bfloat16"]
Jobs = int | Literal["auto"]

MEMORY_PER_JOB = (
    5 * 2**29
)  # bytes; what vg-r101 needs for a picture of 800 x 1333 beside its weights, and a little more


@dataclass(frozen=True)
class StoreOptions:
    """Says how regions are computed.

    Attributes:
        batch_size: Pictures that the model computes at a time.
        device: 'auto', which is a GPU where there is one, or a device of PyTorch.
        precision: 'float32', 'bfloat16', or 'auto', which is bfloat16 on a GPU that supports it.
        dtype: The type of the stored features, 'float16' or 'float32'.
        jobs: How many processes compute on a CPU, with one thread each, or read pictures for a GPU; never more than
            this process may use cores. 'auto' takes as many as that, as far as the memory goes, and at most 8 that
            read.
    """

    batch_size: int = 32
    device: str = "auto"
    precision: str = "auto"
    dtype: str = "float16"
    jobs: Jobs = 1


def parse_device(name: str) -> torch.device:
    """Return the device that a user names.

    Raises:
        UserError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # a PyTorch without CUDA fails by an assertion
        raise UserError(f"--device: '{name}' cannot be used ({first_line(error)}); choose auto, cpu or cuda") from error
    return device


def parse_precision(name: str, device: torch.device) -> PrecisionName:
    """Return the precision that a user names, or the best one of a device.

    Raises:
        UserError: There is no such precision.
    """
    if name == "auto":
        return "bfloat16" if device.type == "cuda" and multiplies_bfloat16("cuda") else "float32"
    for precision in get_args(PrecisionName):
        if name == precision:
            return precision
    raise UserError(f"--precision: found '{name}'{did_you_mean(name, ['auto', *get_args(PrecisionName)])}")


def parse_jobs(name: str) -> Jobs:
    """Return the number of processes that a user names.

    Raises:
        UserError: It is no number of at least 1, nor 'auto'.
    """
    if name == "auto":
        return "auto"
    if name.isascii() and name.isdecimal() and int(name) > 0:
        return int(name)
    raise UserError(f"--jobs: found '{printable(name)}'; give a number of processes of at least 1, or auto")


def find_finished(
    pictures: StorePictures, destination: Path, extraction: ExtractionSettings, options: StoreOptions
) -> StoreMetadata | None:
    """Return the metadata of a store if it is finished, without loading a model.

    Args:
        pictures: The pictures that the store is to be made of.
        destination: The folder of the store.
        extraction: How its regions are to be made.
        options: How they are to be computed.

    Raises:
        UserError: There is a finished store of something else.
    """
    return finished_store(destination, _conversion(pictures, extraction, options))


def make_store(
    pictures: StorePictures, destination: Path, extractor: RegionExtractor, options: StoreOptions
) -> tuple[StoreMetadata, bool]:
    """Make a store of the regions of pictures; continues where a call stopped.

    Batches are the same ones whatever the number of processes, and after an interruption: pictures k * batch_size to
    (k + 1) * batch_size - 1. On a CPU each is computed by one thread, since the last bits of a sum depend on how many
    threads share it. So the store has the same bytes each time.

    Args:
        pictures: The pictures.
        destination: The folder of the store: new, empty, or with an unfinished store of the same pictures and settings.
        extractor: What makes regions of pictures.
        options: How they are computed; `device` and `precision` are those that the extractor was loaded with.

    Returns:
        The store's metadata, which names the pictures that are left out since they are damaged or have no regions, and
        whether anything was computed.

    Raises:
        UserError: A picture cannot be read, an option does not fit, or the destination holds something else or cannot
            be written.
    """
    settings = _conversion(pictures, extractor.settings, options)
    if (metadata := finished_store(destination, settings)) is not None:
        return metadata, False
    names = ObjectNames(tuple(extractor.class_names), tuple(extractor.attribute_names))
    total = len(pictures.ids)
    with locked_destination(destination, settings), StoreWriter(destination, settings) as writer:
        done = writer.images_read[0]
        first, already_stored = divmod(done, options.batch_size)
        with progress_bar(total=total, initial=done, desc=destination.name, unit=" pictures") as progress:
            for batch in _Batches(pictures, extractor, options).compute(first):
                for image in batch[already_stored:]:
                    writer.add(0, image)
                    progress.update()
                already_stored = 0
        return writer.finish(names), True


def extract_one(extractor: RegionExtractor, picture: Image.Image, place: str) -> SourceImage:
    """Make the regions of one picture, which is in no store.

    Args:
        extractor: What makes regions of pictures.
        picture: The picture in mode RGB, upright.
        place: Where it comes from, for errors.

    Returns:
        The regions, and what they are of.

    Raises:
        UserError: The picture has no regions.
    """
    try:
        prepared = extractor.prepare(picture)
        (found,) = extractor.extract([prepared])
        if isinstance(found, UnusablePictureError):
            raise found
    except UnusablePictureError as error:
        raise UserError(f"{place}: has no regions ({error}); choose another picture") from error
    return _to_image(place, place, prepared, found)


def _to_image(image_id: str, place: str, picture: PreparedPicture, found: PictureRegions) -> SourceImage:
    objects = None
    if found.classes is not None and found.scores is not None:
        objects = Objects(found.classes, found.scores, found.attributes, found.attribute_scores)
    return check_image(SourceImage(image_id, place, found.features, found.boxes, *picture.size, objects=objects))


def _conversion(pictures: StorePictures, extraction: ExtractionSettings, options: StoreOptions) -> ConversionSettings:
    """Describe a store as the file of an earlier call does, in which tuples are lists."""
    settings = ConversionSettings(dtype=parse_dtype(options.dtype), sources=(pictures.identity,), extraction=extraction)
    return ConversionSettings.model_validate_json(settings.model_dump_json())


@dataclass(frozen=True)
class _Unusable:
    """Says why a picture is left out."""

    reason: str


class _Batches:
    """Computes the regions of pictures, batch by batch, in their order."""

    def __init__(self, pictures: StorePictures, extractor: RegionExtractor, options: StoreOptions) -> None:
        self._pictures = pictures
        self._extractor = extractor
        self._size = options.batch_size
        self._on_cpu = parse_device(options.device).type == "cpu"
        jobs = _computing_jobs(options.jobs) if self._on_cpu else worker_count(options.jobs, "pixels")
        self._workers = 0 if jobs == 1 else min(jobs, len(os.sched_getaffinity(0)))

    def compute(self, first: int) -> Iterator[list[SourceImage]]:
        """Compute all batches from the number `first` on."""
        count = -(-len(self._pictures.ids) // self._size) - first
        if self._on_cpu:
            with single_thread():  # of this process; a worker has one anyway
                yield from read_ahead(lambda i: self._extract(first + i, self._read(first + i)), count, self._workers)
        else:
            for number, prepared in enumerate(read_ahead(lambda i: self._read(first + i), count, self._workers), first):
                yield self._extract(number, prepared)

    def _numbers(self, batch: int) -> range:
        return range(batch * self._size, min((batch + 1) * self._size, len(self._pictures.ids)))

    def _read(self, batch: int) -> list[PreparedPicture | _Unusable]:
        return [self._prepare(number) for number in self._numbers(batch)]

    def _prepare(self, number: int) -> PreparedPicture | _Unusable:
        try:
            return self._extractor.prepare(self._pictures.picture(number))
        except PictureError as error:
            return _Unusable(f"the picture {error.reason}")
        except UnusablePictureError as error:
            return _Unusable(str(error))
        except UserError as error:
            raise UserError(f"{error}; what is extracted is kept, and the same command continues") from error

    def _extract(self, batch: int, prepared: Sequence[PreparedPicture | _Unusable]) -> list[SourceImage]:
        usable = [picture for picture in prepared if isinstance(picture, PreparedPicture)]
        found = iter(self._extractor.extract(usable) if usable else ())
        return [
            self._make_image(number, picture, picture if isinstance(picture, _Unusable) else next(found))
            for number, picture in zip(self._numbers(batch), prepared, strict=True)
        ]

    def _make_image(
        self,
        number: int,
        picture: PreparedPicture | _Unusable,
        found: PictureRegions | UnusablePictureError | _Unusable,
    ) -> SourceImage:
        image_id, place = self._pictures.ids[number], self._pictures.place(number)
        if isinstance(picture, _Unusable) or not isinstance(found, PictureRegions):
            return unusable_image(image_id, place, found.reason if isinstance(found, _Unusable) else str(found))
        return _to_image(image_id, place, picture, found)


def _computing_jobs(jobs: Jobs) -> int:
    """Choose the number of processes that compute; see `StoreOptions.jobs`."""
    if jobs != "auto":
        return jobs
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // MEMORY_PER_JOB))
