"""The predictors of all pairs of a task's languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from iglue_plugins.advice import predictors, typology
from iglue_plugins.advice.neighbors import embed_texts, neighbor_shares
from iglue_plugins.advice.predictors import PREDICTORS, Predictor
from iglue_plugins.advice.texts import LanguageTexts
from iglue_plugins.runs.trained_model import TrainedModel

T = TypeVar("T")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """The predictors of pairs of languages.

    Attributes:
        languages: The languages of both axes, L.
        predictors: The predictors that there are, P.
        values: (P, L, L) float64, predictor by auxiliary by target language; NaN where it is not known.
        left_out: Why a predictor is not among them, by its name.
    """

    languages: tuple[str, ...]
    predictors: tuple[Predictor, ...]
    values: Floats
    left_out: dict[str, str]


def make_features(
    texts: Mapping[str, LanguageTexts],
    tokenizer: PreTrainedTokenizerBase | str,
    trained: TrainedModel | None,
    max_length: int,
) -> Features:
    """Compute the predictors of all pairs of languages.

    Args:
        texts: The texts of each language.
        tokenizer: The tokenizer of the model that is to be trained; or a text that says why there is none.
        trained: A model whose vectors of texts are compared; None leaves NN-Rank out.
        max_length: Tokens at which the task cuts a text.

    Returns:
        The predictors that can be computed and that are not the same for all pairs.

    Raises:
        UserError: The model embeds no texts, or the typological data are damaged.
    """
    languages = tuple(texts)
    found = _of_texts(texts)
    left_out: dict[str, str] = {}
    if isinstance(tokenizer, str):
        left_out |= dict.fromkeys(("shared_tokens", "fertility", "fertility_gap"), tokenizer)
    else:
        found |= _of_tokens(texts, tokenizer)
    if typology.is_installed():
        found |= typology.distances(languages)
    else:
        left_out |= dict.fromkeys(typology.FEATURES, f"{typology.INSTALL} brings typological distances")
    if trained is None:
        left_out["neighbors"] = "--model names no run whose vectors of texts could be compared"
    else:
        found["neighbors"] = _of_neighbors(texts, trained, max_length)
    return _select(languages, found, left_out)


def _select(languages: tuple[str, ...], found: Mapping[str, Floats], left_out: dict[str, str]) -> Features:
    """Keep the predictors that tell auxiliary languages of some target from each other."""
    kept: list[Predictor] = []
    pairs = ~np.eye(len(languages), dtype=bool)
    for predictor in PREDICTORS:
        if predictor.name not in found:
            continue
        columns = np.where(pairs, found[predictor.name], np.nan).T
        known = [column[~np.isnan(column)] for column in columns]
        if any(len(column) and np.ptp(column) > 0 for column in known):
            kept.append(predictor)
        else:
            left_out[predictor.name] = "it is the same for all auxiliary languages"
    values = np.stack([found[predictor.name] for predictor in kept]) if kept else np.zeros((0, *pairs.shape))
    return Features(languages, tuple(kept), values, left_out)


def _of_texts(texts: Mapping[str, LanguageTexts]) -> dict[str, Floats]:
    alphabets = [frozenset(predictors.letters(of.texts)) for of in texts.values()]
    scripts = [predictors.scripts(of.texts) for of in texts.values()]
    sizes = [predictors.log_size(of.size) for of in texts.values()]
    return {
        "shared_characters": _pairs(predictors.overlap, alphabets),
        "shared_script": _pairs(predictors.shared_script, scripts),
        "size": _pairs(lambda auxiliary, _: auxiliary, sizes),
    }


def _of_tokens(texts: Mapping[str, LanguageTexts], tokenizer: PreTrainedTokenizerBase) -> dict[str, Floats]:
    tokens = [tokenizer(list(of.texts), add_special_tokens=False).input_ids for of in texts.values()]
    vocabularies = [frozenset(token for row in rows for token in row) for rows in tokens]
    fertilities = [predictors.fertility(of.texts, rows) for of, rows in zip(texts.values(), tokens, strict=True)]
    return {
        "shared_tokens": _pairs(predictors.overlap, vocabularies),
        "fertility": _pairs(lambda auxiliary, _: auxiliary, fertilities),
        "fertility_gap": _pairs(predictors.fertility_gap, fertilities),
    }


def _of_neighbors(texts: Mapping[str, LanguageTexts], trained: TrainedModel, max_length: int) -> Floats:
    """Compare the vectors of each language's texts with those of all languages that have auxiliary examples."""
    vectors = {language: embed_texts(trained, of.texts, max_length) for language, of in texts.items()}
    languages = list(texts)
    shares = np.full((len(texts), len(texts)), np.nan)
    for column, target in enumerate(languages):
        pool = {language: vectors[language] for language in texts if texts[language].size and language != target}
        for language, share in (neighbor_shares(vectors[target], pool) if pool else {}).items():
            shares[languages.index(language), column] = share
    return shares


def _pairs(function: Callable[[T, T], float], of_languages: Sequence[T]) -> Floats:
    """Apply a function to the auxiliary and the target language of each pair: (L, L)."""
    return np.asarray([[function(one, other) for other in of_languages] for one in of_languages], dtype=np.float64)
