"""A document whose image the model cannot read is named, whatever the model reads of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest

from iglue_plugins.data.processors.base import ImageFacts
from iglue_plugins.data.processors.regions import RegionImages, RegionProcessor
from iglue_plugins.integrations.lmms_eval.documents import make_task
from iglue_plugins.integrations.lmms_eval.predictor import Predictor
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError


class PhotographProcessor(RegionProcessor):
    """Looks images up among the pictures; what it makes of them does not count here."""

    def prepare_images(self, task: ImageFacts) -> RegionImages:
        class Photographs(RegionImages):
            def index(self, image_ids: Iterable[str]) -> np.ndarray:
                for image_id in image_ids:
                    if image_id.endswith("/7/0"):
                        raise UserError(f"there is no picture of image '{image_id}'")
                return super().index(image_ids)

        return Photographs(task.regions, self.layout(task))


def test_a_document_without_a_picture_is_named(run_of: Callable[..., Run]) -> None:
    predictor = Predictor(run_of("xvnli", "sw").folder)
    documents = [
        {"task": "mini/xvnli", **row} for row in make_task("mini/xvnli", {}).load("test", "sw").select(range(9))
    ]
    assert len(predictor.batcher("mini/xvnli", documents)) == 9
    processor = PhotographProcessor(predictor.trained.processor.tokenizer)
    predictor.trained = replace(predictor.trained, processor=processor)
    expected = "^mini/xvnli in 'sw': document 'test/7': there is no picture of image 'mini/xvnli/test/7/0'$"
    with pytest.raises(UserError, match=expected):
        predictor.batcher("mini/xvnli", documents)
