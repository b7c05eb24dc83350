"""Answers of a finished run's model for images and texts that a user gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from datasets import Dataset

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.given_images import GivenPictures, GivenRegions, TaskOnGivenImages
from iglue_plugins.models.extraction.base import RegionExtractor
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plugins import make_task
from iglue_plugins.runs.prediction import Measure, Prediction, Ranking
from iglue_plugins.runs.region_extractors import ExtractorChoice, choose_extractor, extract_regions
from iglue_plugins.runs.sharing.download import find_run
from iglue_plugins.runs.trained_model import TrainedModel, load_trained
from iglue_plugins.tasks.base import Task
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.notices import quiet_libraries
from iglue_plugins.utils.text import is_utf8, printable

MORE_TOKENS = 4  # times a task's, at which a text is cut to see if the task cuts it


class Predictor:
    """Answers for images and texts by a trained model; `Predictor.from_run` makes it of a finished run.

    An image is a file of a picture, or an image of the run's task by its id, such as `flickr30k/1007129816`. A model
    that reads regions gets those of a file from an extractor, which is loaded when the first file comes.

    Args:
        run: The run.
        recipe: The run's recipe.
        task: The recipe's task.
        trained: The run's model.
        choice: What makes regions of pictures.
    """

    def __init__(self, run: Run, recipe: Recipe, task: Task, trained: TrainedModel, choice: ExtractorChoice) -> None:
        self.run = run
        self.recipe = recipe
        self.task = task
        self.trained = trained
        self._choice = choice
        self._extractor: tuple[RegionExtractor, list[str]] | None = None

    @classmethod
    def from_run(
        cls,
        source: str | Path,
        choice: ExtractorChoice = ExtractorChoice(),
        device: str = "auto",
        revision: str | None = None,
        settings: Sequence[str] = (),
    ) -> Predictor:
        """Load the model of a finished run.

        Args:
            source: The folder of the run or of its model, or the hub id of one that was pushed.
            choice: What makes regions of pictures; default: what made the region store of the run's task.
            device: The device of the model; 'auto' is a GPU if there is one.
            revision: The hub revision of the run.
            settings: Changes of the run's recipe, of the form `key.path=value`, such as `task.data_root=FOLDER`.

        Raises:
            UserError: There is no finished run, it keeps no model or a damaged one, its task's data are missing, or
                there is no such device.
        """
        distributed.require_single_process("a prediction")
        quiet_libraries()
        run = find_run(source, revision)
        run.require_record()
        recipe, trained = load_trained(run, device, settings)
        return cls(run, recipe, make_task(recipe), trained, choice)

    def __call__(
        self, *images: str | Path, text: str | Sequence[str], language: str | None = None
    ) -> Prediction | Ranking:
        """Answer for images and a text; see `predict`."""
        return self.predict(images, text, language)

    def predict(
        self, images: Sequence[str | Path], text: str | Sequence[str], language: str | None = None
    ) -> Prediction | Ranking:
        """Answer for images and a text.

        Args:
            images: One image, or two for a task on two images; in retrieval one or several. Files or ids.
            text: The text; in retrieval of one image perhaps several.
            language: The code of the text's language, which changes nothing but the notes of the answer.

        Returns:
            The label and all probabilities; in retrieval the scores of the texts, or of several images.

        Raises:
            UserError: There are more or fewer images or texts than the task is on, an image is not there or no picture,
                no regions can be made of it, or the model's output is not finite.
        """
        names = [str(image) for image in images]
        texts = [text] if isinstance(text, str) else list(text)
        self._check(names, texts)
        batcher, notes = self._batcher(names, texts)
        notes = [*notes, *self._notes_on_texts(batcher), *self._notes_on_language(language)]
        answer = self._rank if self.task.evaluation == "retrieval" else self._classify
        return answer(batcher, names, texts, language, tuple(notes))

    def _check(self, images: Sequence[str], texts: Sequence[str]) -> None:
        """Check that the task is on so many images and texts."""
        counts = " and ".join(
            f"{len(given)} {kind}{'s' * (len(given) != 1)}" for given, kind in ((images, "image"), (texts, "text"))
        )
        given = f"task {self.task.name}: {counts} are given"
        if self.task.evaluation == "retrieval":
            if not images or not texts or min(len(images), len(texts)) > 1:
                raise UserError(f"{given}, but it ranks texts for one image, or images for one text; name these")
        elif (len(images), len(texts)) != (self.task.rows_per_example, 1):
            count = self.task.rows_per_example
            needed = "an image" if count == 1 else f"{count} images, in their order,"
            raise UserError(f"{given}, but it is on {needed} and a text; name these")
        for text in texts:
            if not text.strip() or not is_utf8(text):
                raise UserError(f"the text {text!r} is {'not UTF-8' if text.strip() else 'empty'}; give another one")

    def _batcher(self, images: Sequence[str], texts: Sequence[str]) -> tuple[Batcher, list[str]]:
        """Prepare texts with their images for the model; returns notes on the images too."""
        files = {name: path for name in images if (path := Path(name).expanduser()).is_file()}
        ids = [name for name in dict.fromkeys(images) if name not in files]
        notes: list[str] = []
        if self.trained.processor.reads == "pixels":
            for name in ids:
                self._require_picture(name)
            task = TaskOnGivenImages(self.task, pictures=GivenPictures(files, self.task.pictures if ids else None))
        else:
            stores = {name: self.task.regions for name in ids if self._require_regions(name)}
            if files:
                extractor, notes = self._load_extractor()
                stores |= dict.fromkeys(files, extract_regions(files, extractor))
            task = TaskOnGivenImages(self.task, regions=GivenRegions(stores))
        of_example = images[:1] if self.task.evaluation == "retrieval" else images
        rows = {
            "id": [str(number) for number in range(len(texts))],
            "image_ids": [list(of_example)] * len(texts),
            "text": list(texts),
            "label": [""] * len(texts),
        }
        return Batcher(Dataset.from_dict(rows), task, self.trained.processor), notes

    def _require_picture(self, name: str) -> None:
        try:
            found, reason = self.task.pictures.has(name), "it is not among its pictures"
        except UserError as error:
            found, reason = False, str(error)
        if not found:
            raise self._no_image_error(name, reason)

    def _require_regions(self, name: str) -> bool:
        try:
            self.task.regions.index([name])
        except UserError as error:
            raise self._no_image_error(name, str(error)) from error
        return True

    def _no_image_error(self, name: str, reason: str) -> UserError:
        return UserError(
            f"{printable(name)}: there is no such file, and task {self.task.name} has no such image ({reason})"
        )

    def _load_extractor(self) -> tuple[RegionExtractor, list[str]]:
        """Load what makes regions of pictures, once, and check that the model can read them."""
        if self._extractor is None:
            extractor, notes = choose_extractor(self.task, self._choice, self.trained.model.device)
            size = getattr(self.trained.model.config, "region_feature_size", extractor.feature_size)
            if extractor.feature_size != size:
                raise UserError(
                    f"--detector: {extractor.settings} makes {extractor.feature_size} features of a region, but the "
                    f"model of {self.run.folder} reads {size}; name what made the regions that it was trained on"
                )
            self._extractor = extractor, notes
        return self._extractor

    def _notes_on_texts(self, batcher: Batcher) -> Iterator[str]:
        """Say which texts are cut, and which have words that the model does not know."""
        texts, limit = batcher.dataset["text"][:], self.task.max_text_length
        whole = self.trained.processor.prepare_texts(texts, MORE_TOKENS * limit)
        for text, length, found in zip(texts, batcher.texts.lengths, whole.lengths, strict=True):
            if found > length:
                yield f"of the text '{printable(text)}' the first {length} tokens are read"
        tokenizer = getattr(self.trained.processor, "tokenizer", None)
        unknown = getattr(tokenizer, "unk_token_id", None)
        if unknown is None or unknown == getattr(tokenizer, "pad_token_id", None):
            return
        for number, text in enumerate(texts):
            inputs = batcher.texts.inputs(np.asarray([number]))
            count = int((inputs["input_ids"] == unknown).sum()) if "input_ids" in inputs else 0
            if count:
                total = batcher.texts.lengths[number]
                yield f"the model's vocabulary lacks {count} of the {total} tokens of the text '{printable(text)}'"

    def _notes_on_language(self, language: str | None) -> Iterator[str]:
        """Say how good the run is in a language."""
        if language is None:
            return
        record, evaluation = self.run.require_record(), self.recipe.evaluation
        metric = record.get("main_metric", self.task.main_metric)
        for split in map(evaluation.scored_split, evaluation.splits):
            scores = record["scores"].get(split, {}).get(language, {})
            if metric in scores:
                yield f"in '{language}' the run has {metric} {scores[metric]:.1f} on {split}"
                return
        yield f"the run has no scores in '{printable(language)}' that would say how good its answers are"

    def _classify(
        self, batcher: Batcher, images: list[str], texts: list[str], language: str | None, notes: tuple[str, ...]
    ) -> Prediction:
        logits = self.trained.logits(batcher).cpu()
        self._require_finite(logits.numpy())
        probabilities = self.task.probabilities(logits)[0].tolist()
        order = logits[0].argsort(descending=True, stable=True).tolist()
        by_label = {self.task.labels[i]: probabilities[i] for i in order}
        label = self.task.predict(logits)[0]
        return Prediction(label, by_label, texts[0], tuple(images), language, str(self.run.folder), notes)

    def _rank(
        self, batcher: Batcher, images: list[str], texts: list[str], language: str | None, notes: tuple[str, ...]
    ) -> Ranking:
        scores = self.trained.match(batcher, batcher.image_source.index(images)).ravel()
        self._require_finite(scores)
        names = images if len(images) > 1 else texts
        by_name = {names[i]: float(scores[i]) for i in np.argsort(-scores, kind="stable")}
        measure: Measure = "cosine" if getattr(self.trained.model, "is_dual_encoder", False) else "logit"
        return Ranking(
            next(iter(by_name)), by_name, measure, tuple(texts), tuple(images), language, str(self.run.folder), notes
        )

    def _require_finite(self, numbers: np.ndarray) -> None:
        if not np.isfinite(numbers).all():
            raise UserError(
                f"{self.run.folder}: the model's output is not finite; see if its training diverged, or if it should "
                "be evaluated in float32"
            )
