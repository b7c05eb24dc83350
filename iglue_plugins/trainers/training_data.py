"""The examples that a trainer trains on."""

from __future__ import annotations

from dataclasses import dataclass

from datasets import Dataset

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.utils.errors import UserError


@dataclass(frozen=True)
class TrainingData:
    """Where a trainer finds its examples.

    Attributes:
        task: The task.
        processor: The model's processor.
        source_languages: The languages that fine-tuning trains on.
        auxiliary_languages: The languages that meta-training trains on; for `LanguageAdapter`, the one target language.
        seed: The run's seed.
        examples: How many training examples of each language are used; None: all.
        declared: The examples that the trainer says it reads, so that a run is known by all that it was trained on;
            None allows any.
    """

    task: Task
    processor: Processor
    source_languages: tuple[str, ...]
    auxiliary_languages: tuple[str, ...]
    seed: int
    examples: int | None = None
    declared: tuple[ExampleSet, ...] | None = None

    def batchers(self, trains_on: str, shots: int | str | None = None, *, captions: bool = True) -> dict[str, Batcher]:
        """Make a batcher over the training examples of each language.

        Args:
            trains_on: "source" for the source languages; "auxiliary" or "few_shot" for the auxiliary languages.
            shots: The number of shots, with "few_shot".
            captions: Whether batches have captions, where the task has any; without, these are not tokenized.

        Returns:
            A batcher for each language.

        Raises:
            UserError: There is no auxiliary language, the task has no such examples, or the trainer does not declare
                that it reads them.
        """
        languages = self.source_languages if trains_on == "source" else self.auxiliary_languages
        if not languages:
            choices = sorted(set(self.task.languages) - {*self.source_languages})
            raise UserError(
                f"task {self.task.name}: there are no auxiliary_languages to train on; name at least one of "
                f"{', '.join(choices)}"
            )
        split = self.task.training_splits[trains_on]
        examples = {language: self._training_examples(split, language, shots) for language in languages}
        return {
            language: Batcher(dataset, self.task, self.processor, captions=captions)
            for language, dataset in examples.items()
        }

    def _training_examples(self, split: str, language: str, shots: int | str | None) -> Dataset:
        if self.declared is not None and (split, language, shots) not in self.declared:
            raise UserError(
                f"task {self.task.name}: the trainer reads {ExampleSet(split, language, shots)}, which its method "
                "`reads` does not list; add it there, so that runs trained on other examples get another fingerprint"
            )
        dataset = self.task.load(split, language, shots)
        if self.examples is None or self.examples >= len(dataset):
            return dataset
        return dataset.shuffle(seed=self.seed).select(range(self.examples))
