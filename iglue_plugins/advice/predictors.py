"""Predictors of transfer: what they say of an auxiliary and a target language, as functions of their texts."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Predictor:
    """A number for an auxiliary and a target language that may tell how well the one helps the other.

    Attributes:
        name: The predictor's name.
        sign: 1 if more of it is expected to help, -1 if less is.
        phrase: What it says, with a place for its value.
    """

    name: str
    sign: int
    phrase: str


# What the matrices say of a row, from all columns but the target's; only where there are matrices.
ELSEWHERE = Predictor("elsewhere", 1, "{:+.1f} points in other targets")
PREDICTORS = (
    Predictor("shared_tokens", 1, "{:.0%} shared tokens"),
    Predictor("shared_characters", 1, "{:.0%} shared characters"),
    Predictor("shared_script", 1, "{:.0%} shared script"),
    Predictor("fertility", -1, "{:.2f} tokens a character"),
    Predictor("fertility_gap", -1, "{:.2f} gap of fertility"),
    Predictor("size", 1, "{:.1f} log examples"),
    Predictor("syntactic", -1, "{:.2f} syntactic distance"),
    Predictor("phonological", -1, "{:.2f} phonological distance"),
    Predictor("inventory", -1, "{:.2f} phoneme distance"),
    Predictor("genetic", -1, "{:.2f} genetic distance"),
    Predictor("geographic", -1, "{:.2f} geographic distance"),
    Predictor("neighbors", 1, "{:.0%} of nearest texts"),
)


def overlap(one: frozenset[Hashable], other: frozenset[Hashable]) -> float:
    """Compute how much two sets have in common, by Dice's coefficient.

    Args:
        one: A set, as of the distinct tokens or letters of a language.
        other: Another one.

    Returns:
        Twice the number of common elements over the sum of both sizes, from 0 to 1; 0 for two empty sets.

    Source:
        Twice the word and subword overlap of LangRank (Lin et al. 2019, Choosing transfer languages for cross-lingual
        learning, ACL, section 3.1).
    """
    return 2 * len(one & other) / max(len(one) + len(other), 1)


def letters(texts: Sequence[str]) -> Counter[str]:
    """Count the letters and marks of texts, in small letters.

    Args:
        texts: The texts.
    """
    counts = Counter("".join(texts).lower())
    return Counter({char: count for char, count in counts.items() if unicodedata.category(char)[0] in "LM"})


def scripts(texts: Sequence[str]) -> dict[str, float]:
    """Compute the share of each script in the letters of texts.

    Args:
        texts: The texts.

    Returns:
        Shares that add up to 1, by the first word of the letters' names in Unicode, which is their script's; empty
        where there are no letters.

    Source:
        Names of the Unicode Character Database.
    """
    counts: Counter[str] = Counter()
    for char, count in letters(texts).items():
        counts[_script(char)] += count
    return {script: count / counts.total() for script, count in counts.items()}


@cache
def _script(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").partition(" ")[0]


def shared_script(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Compute the share of letters that two languages write in the same scripts.

    Args:
        one: Shares of scripts.
        other: Those of the other language.

    Returns:
        The sum of the smaller shares, from 0 to 1; Japanese and Chinese have Han letters in common, and no others.

    Source:
        The common part of two distributions (1 minus their total variation); a graded form of the same-script feature
        that work on transfer uses (such as Muller et al. 2021, When being unseen from mBERT is just the beginning).
    """
    return sum(min(share, other.get(script, 0.0)) for script, share in one.items())


def fertility(texts: Sequence[str], tokens: Sequence[Sequence[int]]) -> float:
    """Compute how many tokens a tokenizer makes of a character.

    Characters are the unit, since not all scripts part words by spaces.

    Args:
        texts: The texts.
        tokens: The token ids of each text, without special tokens.

    Returns:
        Tokens a character that is no space; NaN where there are no such characters.

    Source:
        Rust et al. 2021, How good is your tokenizer?, ACL, who count tokens a word.
    """
    characters = sum(len("".join(text.split())) for text in texts)
    return sum(map(len, tokens)) / characters if characters else math.nan


def fertility_gap(one: float, other: float) -> float:
    """Compute how far two fertilities are from each other.

    Args:
        one: Tokens a character in a language.
        other: Tokens a character in another one.

    Returns:
        The absolute difference of their logarithms; NaN unless both are above 0.

    Source:
        As the distance of type-token ratios of LangRank (Lin et al. 2019, section 3.1), on fertility.
    """
    return abs(math.log(one / other)) if one > 0 and other > 0 else math.nan


def log_size(examples: int | None) -> float:
    """Compute the logarithm of the number of auxiliary examples.

    Args:
        examples: The number; None where there are none.

    Returns:
        The natural logarithm; NaN for None and 0.

    Source:
        The size of the transfer language's data in LangRank (Lin et al. 2019, section 3.1).
    """
    return math.log(examples) if examples else math.nan
