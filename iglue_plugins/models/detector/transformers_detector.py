"""Object detectors of transformers as makers of regions: DETR, RT-DETR, Deformable DETR, YOLOS, D-FINE and so on."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForObjectDetection, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING
from transformers.utils.import_utils import is_timm_available
from typing_extensions import override

from iglue_plugins.data.processors.image_processor import load_image_processor
from iglue_plugins.data.stores.format import DetectionSettings
from iglue_plugins.models.detector.feature_maps import box_means, covered_shares, find_backbone, recorded_maps
from iglue_plugins.models.detector.queries import ChosenQueries, choose_queries, find_probability_kind
from iglue_plugins.models.extraction.base import (
    PictureRegions,
    PreparedPicture,
    RegionExtractor,
    UnusablePictureError,
)
from iglue_plugins.models.extraction.picture_sizes import check_size
from iglue_plugins.models.extraction.sources import (
    check_complete,
    load_config,
    load_weights,
    pinned_revision,
    source_name,
)
from iglue_plugins.utils.errors import UserError, did_you_mean, first_line

Preset = Literal["queries", "backbone"]
PRESETS: tuple[Preset, ...] = get_args(Preset)

DEFAULT_BOXES = 36  # as many as IGLUE's features have
UNUSED_WEIGHTS = {"denoising_class_embed", "num_batches_tracked"}  # what only training reads
OPTION = "--detector"


class TransformersDetector(RegionExtractor):
    """Makes regions of the queries of a detector whose best classes are the most probable.

    There is no threshold: a picture has `boxes` regions, or as many as the detector has queries whose boxes have an
    area within the picture. They come by falling score, with boxes in pixels of the picture, cut at its borders.

    Args:
        model: The detector, in evaluation mode.
        processor: Its image processor.
        settings: What determines the regions; `preset` says what a feature is. 'queries': the last hidden state of the
            box's query. 'backbone': the mean over the box of the backbone's last map, of which a place that lies in the
            box in part counts in part.

    Raises:
        UserError: The model has no backbone with a map, or the processor makes boxes and probabilities in a way that is
            not known.
    """

    settings: DetectionSettings

    def __init__(self, model: PreTrainedModel, processor: Any, settings: DetectionSettings) -> None:
        self.settings = settings
        self.class_names = [str(name) for _, name in sorted((model.config.id2label or {}).items())]
        self._model, self._processor = model, processor
        self._kind = find_probability_kind(processor, settings.weights)
        self._takes_mask = "pixel_mask" in inspect.signature(model.forward).parameters
        self._backbone = None
        self.feature_size = getattr(model.config, "hidden_size", None) or model.config.d_model
        if settings.preset == "backbone":
            found = find_backbone(model)
            if found is None:
                raise UserError(
                    f"--preset: {settings.weights!r} is a {type(model).__name__}, which has no backbone with a map of "
                    "features; choose the preset queries"
                )
            self._backbone, self.feature_size = found

    @override
    def prepare(self, picture: Image.Image) -> PreparedPicture:
        check_size(picture.size)
        inputs = self._processor(images=picture, return_tensors="pt")
        pixels, mask = inputs["pixel_values"], inputs.get("pixel_mask")
        if pixels.dim() != 4 or pixels.shape[:2] != (1, 3):
            raise UserError(
                f"{OPTION}: its image processor makes an array of shape {tuple(pixels.shape)} of a picture, where one "
                "of shape (1, 3, height, width) is needed; choose another detector"
            )
        is_padded = mask is not None and self._takes_mask and not mask.all()
        return PreparedPicture(pixels[0].float(), picture.size, mask[0] if is_padded else None)

    @override
    def extract(self, pictures: Sequence[PreparedPicture]) -> list[PictureRegions | UnusablePictureError]:
        by_shape: dict[tuple[torch.Size, bool], list[int]] = {}
        for place, picture in enumerate(pictures):
            by_shape.setdefault((picture.pixels.shape, picture.facts is None), []).append(place)
        found: dict[int, PictureRegions | UnusablePictureError] = {}
        for places in by_shape.values():
            found |= zip(places, self._extract_alike([pictures[place] for place in places]), strict=True)
        return [found[place] for place in range(len(pictures))]

    @torch.inference_mode()
    def _extract_alike(self, pictures: Sequence[PreparedPicture]) -> list[PictureRegions | UnusablePictureError]:
        """Make the regions of pictures whose pixel values are of one shape."""
        weight = next(self._model.parameters())
        inputs = {"pixel_values": torch.stack([picture.pixels for picture in pictures]).to(weight.device, weight.dtype)}
        if pictures[0].facts is not None:
            inputs["pixel_mask"] = torch.stack([picture.facts for picture in pictures]).to(weight.device)
        if self._backbone is None:
            output = self._forward(inputs)
            # YOLOS has the hidden states of its patches before those of its queries.
            features = output.last_hidden_state[:, -output.logits.shape[1] :]
        else:
            with recorded_maps(self._backbone) as maps:
                output = self._forward(inputs)
            features = maps[-1]
        logits, boxes, features = (part.float().cpu() for part in (output.logits, output.pred_boxes, features))
        return [self._regions(*parts) for parts in zip(pictures, logits, boxes, features, strict=True)]

    def _forward(self, inputs: dict[str, Tensor]) -> Any:
        try:
            return self._model(**inputs)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"--batch-size: the GPU has no memory for {len(inputs['pixel_values'])} pictures at a time; choose a "
                "smaller one, the same command with it continues"
            ) from error
        except (RuntimeError, ValueError, TypeError) as error:
            height, width = inputs["pixel_values"].shape[-2:]
            remedy = "choose --precision float32" if self.settings.precision != "float32" else "choose another detector"
            raise UserError(
                f"{OPTION}: {self.settings.weights!r} cannot read pixel values of {width} x {height} in "
                f"{self.settings.precision} ({first_line(error)}); {remedy}"
            ) from error

    def _regions(
        self, picture: PreparedPicture, logits: Tensor, boxes: Tensor, features: Tensor
    ) -> PictureRegions | UnusablePictureError:
        """Make the regions of a picture; `features` are the hidden states of its queries, or its map."""
        self._check_classes(logits)
        chosen = choose_queries(logits, boxes, self._kind, picture.size, self.settings.options["boxes"])
        if not len(chosen.index):
            return UnusablePictureError("no boxes")
        found = features[chosen.index] if self._backbone is None else _map_features(features, chosen, picture.facts)
        return PictureRegions(
            found.numpy(), chosen.boxes.numpy(), classes=chosen.classes.numpy(), scores=chosen.scores.numpy()
        )

    def _check_classes(self, logits: Tensor) -> None:
        """Refuse an image processor of another kind of detector, which takes a class for "no object" or the reverse."""
        expected = len(self.class_names) + (self._kind == "softmax")
        if logits.shape[-1] != expected:
            raise UserError(
                f"{OPTION}: {self.settings.weights!r} has {logits.shape[-1]} logits for each box, but its image "
                f"processor, a {type(self._processor).__name__}, and its {len(self.class_names)} names of classes need "
                f"{expected}; put the preprocessor_config.json that belongs to it into its folder"
            )


def _map_features(features: Tensor, chosen: ChosenQueries, mask: Tensor | None) -> Tensor:
    shares = chosen.shares if mask is None else chosen.shares * covered_shares(mask).repeat(2)
    return box_means(features, shares)


def load(
    source: str,
    preset: str | None = None,
    revision: str | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    device: torch.device | str = "cpu",
    *,
    boxes: int = DEFAULT_BOXES,
) -> TransformersDetector:
    """Load a detector; no code of the checkpoint is run, and weights are read from safetensors alone.

    Args:
        source: A local folder or hub id of whatever `AutoModelForObjectDetection` loads.
        preset: 'queries', which is the default, or 'backbone'; see `TransformersDetector`.
        revision: The hub revision.
        precision: What the detector computes in.
        device: Where it computes.
        boxes: The number of regions of a picture; a detector of fewer queries makes fewer.

    Returns:
        The detector.

    Raises:
        UserError: There is no such detector, it lacks weights, its image processor does not belong to it, there is no
            such preset, or a package is not installed.
    """
    preset = preset or PRESETS[0]
    if preset not in PRESETS:
        raise UserError(f"--preset: {source!r} has no preset {preset!r}{did_you_mean(preset, PRESETS)}")
    if boxes < 1:
        raise UserError(f"--boxes: it is {boxes}; choose a number of at least 1")
    _check_config(load_config(source, revision, OPTION), source)
    pinned, name = pinned_revision(source, revision, OPTION), source_name(source)
    commit = None if Path(source).is_dir() else pinned
    processor = load_image_processor(source, commit)
    settings = DetectionSettings(
        detector=name,
        preset=preset,
        weights=name,
        revision=pinned,
        precision=precision,
        options={
            "boxes": boxes,
            "image_processor": json.loads(processor.to_json_string()),
            "image_backend": getattr(processor, "backend", "another"),
        },
    )
    model, missing = load_weights(AutoModelForObjectDetection, source, commit, getattr(torch, precision), OPTION)
    check_complete(source, [name for name in missing if not UNUSED_WEIGHTS & set(name.split("."))], "detector", OPTION)
    model.to(device)  # type: ignore[arg-type]  # transformers wraps it in a way that hides its arguments
    return TransformersDetector(model, processor, settings)


def _check_config(config: Any, source: str) -> None:
    if type(config) not in MODEL_FOR_OBJECT_DETECTION_MAPPING:
        raise UserError(
            f"{OPTION}: {source!r} holds a model of type {config.model_type!r}, which is no detector of objects; name "
            "one such as DETR, RT-DETR, Deformable DETR, D-FINE or YOLOS"
        )
    backbone_type = getattr(getattr(config, "backbone_config", None), "model_type", None)
    if backbone_type == "timm_backbone" and not is_timm_available():
        raise UserError(
            f"{OPTION}: the backbone of {source!r} needs the package timm: pip install timm; or name a detector, or a "
            "--revision of it, whose backbone is of transformers (facebook/detr-resnet-50 has the revision no_timm)"
        )
