"""Checkpoints with the vocabulary of some texts alone, on which their outputs are the same bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import AutoConfig, PreTrainedTokenizerBase

from iglue_plugins import registry
from iglue_plugins.models.adapter_files import refuse_adapter
from iglue_plugins.models.checkpoints import LOADING_ERRORS
from iglue_plugins.models.tokenizer import check_vocabulary, load_tokenizer
from iglue_plugins.models.uniter import MODELS, UniterForVisionAndLanguage
from iglue_plugins.models.vocabulary import Vocabulary
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.files import new_folder
from iglue_plugins.utils.progress import progress_bar

Texts = Mapping[str, Sequence[Iterable[str]]]  # by language or file; each source can be iterated several times

TEXTS_PER_BATCH = 1000
SHOWN_CHARACTERS = 80  # of a text in an error


@dataclass(frozen=True)
class ModelSize:
    """The size of a model.

    Attributes:
        rows: Rows of its word embeddings.
        parameters: The number of all its parameters.
        bytes: The memory that its parameters take.
    """

    rows: int
    parameters: int
    bytes: int

    @classmethod
    def from_model(cls, model: UniterForVisionAndLanguage) -> ModelSize:
        """Measure a model."""
        weights = list(model.parameters())
        return cls(
            model.config.vocab_size, sum(weight.numel() for weight in weights), sum(weight.nbytes for weight in weights)
        )


@dataclass(frozen=True)
class TrimReport:
    """What trimming a checkpoint did.

    Attributes:
        texts: The number of texts that were counted, by language or file.
        changed: The number of texts that the trimmed checkpoint tokenizes differently.
        before: The size of the model before.
        after: The size of the trimmed model.
    """

    texts: dict[str, int]
    changed: int
    before: ModelSize
    after: ModelSize


def trim_checkpoint(source: str, folder: Path, texts: Texts, keep_tokens: int | None = None) -> TrimReport:
    """Write a checkpoint without the rows of the vocabulary that no text uses; the others keep their order.

    Args:
        source: A checkpoint's or a run's folder, or a hub id.
        folder: The folder to write, new or empty.
        texts: The texts whose words are kept.
        keep_tokens: How many of the pieces that the texts use are kept, the most frequent ones; texts with other pieces
            are then tokenized differently. None keeps all of them, and checks that every text is tokenized as before.

    Returns:
        The number of texts, and the sizes before and after.

    Raises:
        UserError: `source` holds no model of this package, its tokenizer cannot be trimmed, `folder` is not empty or
            cannot be written, there are no texts, or a text is tokenized differently without `keep_tokens`.
    """
    model, tokenizer = load_model(source)
    vocabulary, before = Vocabulary(tokenizer), ModelSize.from_model(model)
    with new_folder(folder) as unfinished:
        usage = count_usage(texts, vocabulary, tokenizer)
        kept = usage.kept_ids(vocabulary, keep_tokens)
        keep_vocabulary_rows(model, kept)
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        (unfinished / "tokenizer.json").write_text(vocabulary.trimmed_json(kept), encoding="utf-8")
        trimmed = load_tokenizer(str(unfinished), model_type=model.config.model_type)
        check_vocabulary(trimmed, model.config, str(folder))
        changed = 0
        for name, text in texts_tokenized_differently(texts, usage.texts, tokenizer, trimmed, kept):
            if keep_tokens is None:
                raise UserError(
                    f"{name}: without the unused pieces the text {text[:SHOWN_CHARACTERS]!r} is tokenized differently; "
                    "nothing was written. Check that nothing writes to the texts while they are read"
                )
            changed += 1
    return TrimReport(usage.texts, changed, before, ModelSize.from_model(model))


def load_model(source: str) -> tuple[UniterForVisionAndLanguage, PreTrainedTokenizerBase]:
    """Load the model and tokenizer of a run, a checkpoint folder or a hub id.

    Args:
        source: The folder or hub id.

    Returns:
        The model, in evaluation mode, and its tokenizer.

    Raises:
        UserError: There is no model of this package, or one with an adapter.
    """
    refuse_adapter(Path(source))
    if (Path(source) / "model" / "config.json").is_file():
        source = str(Path(source) / "model")
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise UserError(
            f"{source}: holds neither a run nor a checkpoint of iglue ({first_line(error)}); give a folder with "
            "config.json and model.safetensors, or a hub id"
        ) from error
    if config.model_type not in MODELS:
        raise UserError(f"{source}: holds a model of type {config.model_type!r}, not one of {', '.join(MODELS)}")
    plugin = registry.models.load(config.model_type)
    model, processor = plugin(plugin.Settings(checkpoint=source)).load()
    return model, processor.tokenizer


@dataclass(frozen=True)
class VocabularyUsage:
    """How often texts use each piece of a vocabulary.

    Attributes:
        counts: (rows,) int64, the number of occurrences of each piece.
        failed_word_pieces: Ids of the pieces that WordPiece matches in unknown words before it fails.
        texts: The number of texts, by language or file.
    """

    counts: NDArray[np.int64]
    failed_word_pieces: frozenset[int]
    texts: dict[str, int]

    def kept_ids(self, vocabulary: Vocabulary, keep_tokens: int | None = None) -> list[int]:
        """Choose the rows to keep.

        Args:
            vocabulary: The vocabulary that was counted.
            keep_tokens: How many of the used pieces to keep, the most frequent ones; None: all of them.

        Returns:
            The old ids, sorted.
        """
        required = vocabulary.required_ids()
        by_frequency = np.argsort(-self.counts, kind="stable").tolist()
        used = [i for i in by_frequency if self.counts[i] and i not in required]
        return sorted({*used[:keep_tokens], *vocabulary.character_ids(used), *self.failed_word_pieces, *required})


def count_usage(texts: Texts, vocabulary: Vocabulary, tokenizer: PreTrainedTokenizerBase) -> VocabularyUsage:
    """Count how often texts use each piece of a tokenizer's vocabulary.

    Args:
        texts: The texts.
        vocabulary: The tokenizer's vocabulary.
        tokenizer: The tokenizer.

    Returns:
        The counts.

    Raises:
        UserError: There are no texts.
    """
    counts, numbers = np.zeros(len(vocabulary), np.int64), dict.fromkeys(texts, 0)
    failed_word_pieces: set[int] = set()
    with progress_bar(desc="counting", unit=" texts") as progress:
        for name, batch in text_batches(texts):
            rows = tokenizer(batch, verbose=False).input_ids
            counts += np.bincount(np.fromiter(chain.from_iterable(rows), np.int64), minlength=len(counts))
            for text, row in zip(batch, rows, strict=True):
                if tokenizer.unk_token_id in row:
                    failed_word_pieces |= vocabulary.failed_word_pieces(text)
            numbers[name] += len(batch)
            progress.update(len(batch))
    if not any(numbers.values()):
        raise UserError(f"{', '.join(texts)}: there are no texts; give at least one whose words are to be kept")
    return VocabularyUsage(counts, frozenset(failed_word_pieces), numbers)


def texts_tokenized_differently(
    texts: Texts,
    counted: Mapping[str, int],
    tokenizer: PreTrainedTokenizerBase,
    trimmed: PreTrainedTokenizerBase,
    kept: Sequence[int],
) -> Iterator[tuple[str, str]]:
    """Find the texts that a trimmed tokenizer tokenizes differently.

    Args:
        texts: The texts, which are read a second time.
        counted: The number of texts at the first reading, by language or file.
        tokenizer: The tokenizer before.
        trimmed: The trimmed tokenizer.
        kept: The old ids that the trimmed tokenizer keeps, in the order of their new ids.

    Yields:
        The language or file, and the text.

    Raises:
        UserError: The second reading gives more or fewer texts than the first.
    """
    new_ids, numbers = {old: new for new, old in enumerate(kept)}, dict.fromkeys(texts, 0)
    with progress_bar(desc="checking", unit=" texts", total=sum(counted.values())) as progress:
        for name, batch in text_batches(texts):
            before, after = (tokenize(batch, verbose=False).input_ids for tokenize in (tokenizer, trimmed))
            yield from (
                (name, text)
                for text, old_row, new_row in zip(batch, before, after, strict=True)
                if [new_ids.get(i) for i in old_row] != new_row
            )
            numbers[name] += len(batch)
            progress.update(len(batch))
    for name, number in numbers.items():
        if number != counted[name]:
            raise UserError(
                f"{name}: had {counted[name]} texts at the first reading and {number} at the second; nothing was "
                "written. Check that nothing writes to the texts while they are read"
            )


def text_batches(texts: Texts) -> Iterator[tuple[str, list[str]]]:
    """Go through all texts in batches.

    Args:
        texts: The texts.

    Yields:
        The language or file, and at most `TEXTS_PER_BATCH` of its texts.
    """
    for name, sources in texts.items():
        remaining = chain.from_iterable(sources)
        while batch := list(islice(remaining, TEXTS_PER_BATCH)):
            yield name, batch


def keep_vocabulary_rows(model: UniterForVisionAndLanguage, kept: Sequence[int]) -> None:
    """Remove all rows of a model's word embeddings but some.

    Args:
        model: The model, which is changed in place.
        kept: The rows to keep, in their new order. The padding must keep its row.
    """
    embeddings = model.encoder.get_input_embeddings()
    embeddings.weight = nn.Parameter(embeddings.weight.detach()[list(kept)])
    embeddings.num_embeddings = model.config.vocab_size = len(kept)
