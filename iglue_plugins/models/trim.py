"""A checkpoint with the vocabulary of some texts alone; on these texts its outputs are the same, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from torch import nn
from transformers import AutoConfig, PreTrainedTokenizerBase

from iglue_plugins import registry
from iglue_plugins.models.checkpoints import FOUND_DAMAGED, first_line
from iglue_plugins.models.tokenizer import check_vocabulary, load_tokenizer
from iglue_plugins.models.uniter import MODELS, UniterForVisionAndLanguage
from iglue_plugins.models.vocabulary import Vocabulary
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import new_folder
from iglue_plugins.utils.progress import progress_bar

Texts = Mapping[str, Sequence[Iterable[str]]]  # by language or file; each source can be gone through again

TEXTS_AT_ONCE = 1000
SHOWN = 80  # characters of a text in an error


@dataclass(frozen=True)
class Size:
    """Of a model: the rows of its vocabulary, all its parameters, and the bytes that they take."""

    rows: int
    parameters: int
    bytes: int

    @classmethod
    def of(cls, model: UniterForVisionAndLanguage) -> Size:
        weights = list(model.parameters())
        return cls(
            model.config.vocab_size, sum(weight.numel() for weight in weights), sum(weight.nbytes for weight in weights)
        )


@dataclass(frozen=True)
class Trimmed:
    """What was done. texts: how many were counted, by language or file; changed: those that are cut otherwise now."""

    texts: dict[str, int]
    changed: int
    before: Size
    after: Size


def trim_checkpoint(source: str, folder: Path, texts: Texts, keep_tokens: int | None = None) -> Trimmed:
    """Write a checkpoint without the rows of the vocabulary that no text uses; the others stay in their order.

    source: a checkpoint's or a run's folder, or a hub id. keep_tokens: of the pieces that the texts use only so many
    stay, the most frequent, so that texts with others are cut otherwise; without it, every text is checked to be cut
    into the same pieces as before.

    Raises:
        UserError: there is no model of ours in `source`, its tokeniser cannot be trimmed, `folder` has something in it
            or cannot be written, there are no texts, or a text is cut otherwise.
    """
    model, tokenizer = load_model(source)
    vocabulary, before = Vocabulary(tokenizer), Size.of(model)
    with new_folder(folder) as unfinished:
        usage = count(texts, vocabulary, tokenizer)
        kept = usage.kept(vocabulary, keep_tokens)
        keep_rows(model, kept)
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        (unfinished / "tokenizer.json").write_text(vocabulary.trimmed(kept), encoding="utf-8")
        trimmed = load_tokenizer(str(unfinished), model_type=model.config.model_type)
        check_vocabulary(trimmed, model.config, str(folder))
        changed = 0
        for name, text in differing(texts, usage.texts, tokenizer, trimmed, kept):
            if keep_tokens is None:
                raise UserError(
                    f"{name}: found that without the unused pieces the text {text[:SHOWN]!r} is cut "
                    "otherwise, expected the same pieces as before; nothing was written"
                )
            changed += 1
    return Trimmed(usage.texts, changed, before, Size.of(model))


def load_model(source: str) -> tuple[UniterForVisionAndLanguage, PreTrainedTokenizerBase]:
    """The model and tokeniser of a run, a checkpoint folder or a hub id.

    Raises:
        UserError: there is none of ours.
    """
    if (Path(source) / "model" / "config.json").is_file():
        source = str(Path(source) / "model")
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except FOUND_DAMAGED as error:
        raise UserError(
            f"{source}: found no run and no checkpoint of ours ({first_line(error)}), expected a folder "
            "with config.json and model.safetensors, or a hub id"
        ) from error
    if config.model_type not in MODELS:
        raise UserError(f"{source}: found a model of type {config.model_type!r}, expected one of {', '.join(MODELS)}")
    plugin = registry.models.load(config.model_type)
    return plugin(plugin.Settings(checkpoint=source)).load()


@dataclass(frozen=True)
class Usage:
    """What the texts use of a vocabulary.

    counts: how often each piece occurs, int64 (rows,). dead_ends: those of Vocabulary.dead_ends. texts: how many there
    are, by language or file.
    """

    counts: np.ndarray
    dead_ends: frozenset[int]
    texts: dict[str, int]

    def kept(self, vocabulary: Vocabulary, keep_tokens: int | None = None) -> list[int]:
        """The rows to keep, sorted."""
        fixed = vocabulary.fixed()
        by_frequency = np.argsort(-self.counts, kind="stable").tolist()
        used = [i for i in by_frequency if self.counts[i] and i not in fixed]
        return sorted({*used[:keep_tokens], *vocabulary.characters(used), *self.dead_ends, *fixed})


def count(texts: Texts, vocabulary: Vocabulary, tokenizer: PreTrainedTokenizerBase) -> Usage:
    """What the texts use of the tokeniser's vocabulary.

    Raises:
        UserError: there are no texts.
    """
    counts, numbers = np.zeros(len(vocabulary), np.int64), dict.fromkeys(texts, 0)
    dead_ends: set[int] = set()
    with progress_bar(desc="counting", unit=" texts") as progress:
        for name, batch in batches(texts):
            rows = tokenizer(batch, verbose=False).input_ids
            counts += np.bincount(np.fromiter(chain.from_iterable(rows), np.int64), minlength=len(counts))
            for text, row in zip(batch, rows, strict=True):
                if tokenizer.unk_token_id in row:
                    dead_ends |= vocabulary.dead_ends(text)
            numbers[name] += len(batch)
            progress.update(len(batch))
    if not any(numbers.values()):
        raise UserError(f"{', '.join(texts)}: found no texts, expected at least one whose words are to be kept")
    return Usage(counts, frozenset(dead_ends), numbers)


def differing(
    texts: Texts,
    counted: Mapping[str, int],
    tokenizer: PreTrainedTokenizerBase,
    trimmed: PreTrainedTokenizerBase,
    kept: Sequence[int],
) -> Iterator[tuple[str, str]]:
    """The texts that the trimmed tokeniser cuts otherwise, each with its language or file.

    Raises:
        UserError: there are not as many texts as were counted.
    """
    new, numbers = {old: i for i, old in enumerate(kept)}, dict.fromkeys(texts, 0)
    with progress_bar(desc="checking", unit=" texts", total=sum(counted.values())) as progress:
        for name, batch in batches(texts):
            before, after = (cut(batch, verbose=False).input_ids for cut in (tokenizer, trimmed))
            yield from (
                (name, text)
                for text, row, found in zip(batch, before, after, strict=True)
                if [new.get(i) for i in row] != found
            )
            numbers[name] += len(batch)
            progress.update(len(batch))
    for name, number in numbers.items():
        if number != counted[name]:
            raise UserError(
                f"{name}: found {number} texts at the second reading, expected {counted[name]} as at the "
                "first; nothing was written"
            )


def batches(texts: Texts) -> Iterator[tuple[str, list[str]]]:
    """All texts, some at a time, with their language or file."""
    for name, sources in texts.items():
        remaining = chain.from_iterable(sources)
        while batch := list(islice(remaining, TEXTS_AT_ONCE)):
            yield name, batch


def keep_rows(model: UniterForVisionAndLanguage, kept: Sequence[int]) -> None:
    """Leave the model these rows of its vocabulary, in this order; the padding is where it was."""
    embeddings = model.get_input_embeddings()
    embeddings.weight = nn.Parameter(embeddings.weight.detach()[list(kept)])
    embeddings.num_embeddings = model.config.vocab_size = len(kept)
