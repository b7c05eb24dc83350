"""Token ids in a cache: those of the tokenizer, for exactly the same texts, tokenizer and length; any damage is met."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from tokenizers.pre_tokenizers import PreTokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, TokenizersBackend

from iglue_plugins.data.processors import token_cache, token_ids
from iglue_plugins.data.processors.texts import TokenizedTexts
from iglue_plugins.mini import ASSETS

WORDS = ("dog", "lion", "Hund", "獅子", "paper clip", "cœur", " ", "<s>")
TEXTS = [" ".join(words) for words in itertools.product(WORDS, repeat=3)]  # 512
MAX_LENGTH = 9


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, that keeps ten texts and more; the texts above are three blocks."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(token_cache, "MIN_CACHED_TEXTS", 10)
    monkeypatch.setattr(token_ids, "BLOCK_SIZE", 200)
    return token_cache.cache_folder()


@pytest.fixture
def tokenized(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of texts that are tokenized together, blocks of more than one."""
    counts: list[int] = []
    encode = TokenizersBackend._encode_plus

    def counting(self: Any, text: list[str], **settings: Any) -> Any:
        counts.extend([len(text)] * (len(text) > 1))
        return encode(self, text=text, **settings)

    monkeypatch.setattr(TokenizersBackend, "_encode_plus", counting)
    return counts


def make_tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(ASSETS / "tokenizer")


def ids_of(texts: TokenizedTexts) -> list[list[int]]:
    ids, mask = texts.pad(np.arange(len(texts.lengths)))
    return [row[: int(length)].tolist() for row, length in zip(ids, mask.sum(1), strict=True)]


def directly(texts: list[str], tokenizer: PreTrainedTokenizerBase, max_length: int = MAX_LENGTH) -> list[list[int]]:
    return tokenizer(texts, truncation=True, max_length=max_length).input_ids


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def test_ids_are_those_of_the_tokenizer_whether_cached_or_not(cache: Path, tokenized: list[int]) -> None:
    texts = [*TEXTS, *TEXTS[100:0:-1], ""]
    expected = directly(texts, make_tokenizer())
    assert max(map(len, expected)) == MAX_LENGTH > min(map(len, expected)), "some are cut"
    tokenized.clear()
    for blocks in ([200, 200, 113], []):
        found = TokenizedTexts(texts, make_tokenizer(), MAX_LENGTH)
        assert ids_of(found) == expected
        assert found.lengths.tolist() == [len(row) for row in expected]
        assert found.identity.tolist() == [expected.index(row) for row in expected]
        assert tokenized == blocks, "each different text once, and not again"
        tokenized.clear()
    assert len(files(cache)) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda tokenizer: setattr(tokenizer, "truncation_side", "left"),
        lambda tokenizer: setattr(tokenizer, "split_special_tokens", True),
        lambda tokenizer: tokenizer.add_tokens(["dog lion"]),
    ],
    ids=["side", "special", "token"],
)
def test_another_tokenizer_gets_its_own_ids(change: Callable[[Any], object], cache: Path) -> None:
    usual = ids_of(TokenizedTexts(TEXTS, make_tokenizer(), MAX_LENGTH))
    changed, plain = make_tokenizer(), make_tokenizer()
    change(changed), change(plain)
    found = ids_of(TokenizedTexts(TEXTS, changed, MAX_LENGTH))
    assert found == directly(TEXTS, plain) != usual
    assert len(files(cache)) == 2


def test_another_length_or_order_gets_its_own_ids(cache: Path) -> None:
    for texts, length in ((TEXTS, 9), (TEXTS, 5), (TEXTS[::-1], 9), (TEXTS[:-1], 9), ([*TEXTS[1:], "dogs"], 9)):
        assert ids_of(TokenizedTexts(texts, make_tokenizer(), length)) == directly(texts, make_tokenizer(), length)
    assert len(files(cache)) == 5


def test_a_tokenizer_that_was_used_before_finds_the_same_ids(cache: Path, tokenized: list[int]) -> None:
    used = make_tokenizer()
    TokenizedTexts(TEXTS, make_tokenizer(), MAX_LENGTH)
    used(["lion"], padding="max_length", truncation=True, max_length=30)
    tokenized.clear()
    TokenizedTexts(TEXTS, used, MAX_LENGTH)
    assert tokenized == [] and len(files(cache)) == 1


def test_few_texts_and_tokenizers_of_others_are_not_cached(cache: Path) -> None:
    class Shouting(TokenizersBackend):
        def __call__(self, texts: list[str], **settings: Any) -> Any:
            return super().__call__([text.upper() for text in texts], **settings)

    TokenizedTexts(TEXTS[:9], make_tokenizer(), MAX_LENGTH)
    own = Shouting.from_pretrained(ASSETS / "tokenizer")
    assert ids_of(TokenizedTexts(TEXTS, own, MAX_LENGTH)) == directly(TEXTS, own)
    assert files(cache) == []


@pytest.mark.parametrize("damage", ["changed", "cut", "empty", "gone"])
def test_a_damaged_file_is_made_anew(damage: str, cache: Path) -> None:
    expected = ids_of(TokenizedTexts(TEXTS, make_tokenizer(), MAX_LENGTH))
    (file,) = files(cache)
    content = file.read_bytes()
    changed = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
    file.write_bytes({"changed": changed, "cut": content[:-8], "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        file.unlink()
    assert ids_of(TokenizedTexts(TEXTS, make_tokenizer(), MAX_LENGTH)) == expected
    assert files(cache) == [file] and file.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "file")
    tokenizer = make_tokenizer()
    assert ids_of(TokenizedTexts(TEXTS, tokenizer, MAX_LENGTH)) == directly(TEXTS, tokenizer)


def test_what_was_not_used_for_longest_makes_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    for length in (5, 6, 7):
        TokenizedTexts(TEXTS, make_tokenizer(), length)
        made += set(files(cache)) - set(made)
        os.utime(made[-1], (length, length))
    TokenizedTexts(TEXTS, make_tokenizer(), 5)
    monkeypatch.setattr(token_cache, "MAX_CACHE_SIZE", sum(file.stat().st_size for file in made))
    TokenizedTexts(TEXTS[::-1], make_tokenizer(), 5)
    assert set(made) - set(files(cache)) == {made[1]}, "the first one has been used again"
    assert len(files(cache)) == 3


def _tokenize(folder: Path) -> list[list[int]]:
    datasets.config.HF_DATASETS_CACHE, token_cache.MIN_CACHED_TEXTS = folder, 10
    return ids_of(TokenizedTexts(TEXTS, make_tokenizer(), MAX_LENGTH))


def test_several_processes_may_fill_the_cache_at_once(tmp_path: Path, cache: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        first, second = pool.map(_tokenize, [tmp_path / "cache"] * 2)
    assert first == second == directly(TEXTS, make_tokenizer())
    assert len(files(cache)) == 1


class Halves:
    """Cuts each text in the middle."""

    def pre_tokenize(self, text: Any) -> None:
        text.split(lambda _, part: [part[: len(str(part)) // 2], part[len(str(part)) // 2 :]])


def test_a_tokenizer_with_a_part_in_python_is_not_cached(cache: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = PreTokenizer.custom(Halves())
    texts = TokenizedTexts(TEXTS, tokenizer, MAX_LENGTH)
    assert texts.lengths.tolist() == [
        len(tokenizer(text, truncation=True, max_length=MAX_LENGTH).input_ids) for text in TEXTS
    ]
    assert not list(cache.glob("*"))
