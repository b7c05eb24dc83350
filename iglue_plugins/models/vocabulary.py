"""Which pieces of a tokeniser some texts need, and the tokeniser with these alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from iglue_plugins.utils.errors import UserError

UNIGRAM, WORDPIECE, WORDLEVEL = TRIMMABLE = ("Unigram", "WordPiece", "WordLevel")  # model types of `tokenizers`
BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")


class Vocabulary:
    """The pieces of a tokeniser, which cuts a text as before when pieces that the text does not use are gone.

    - Unigram: the best path keeps its score, no other one gains, and of equal ones the same is found first. An unknown
      character costs as much as before only while the piece with the lowest score is there, so that one stays.
    - WordPiece: the longest match at each place stays the longest. A word is unknown where no piece matches; the
      matches before that place stay too, since shorter ones could lead past it.
    - WordLevel: a word is a piece.

    Not so BPE, whose pieces are made from others that no text shows.

    Raises:
        UserError: a tokeniser that is not of the library `tokenizers`, or of another type.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        if self._backend is None:
            raise UserError(
                f"model.tokenizer: found a {type(tokenizer).__name__} without tokenizer.json, expected a "
                "tokeniser of the library tokenizers"
            )
        self._content: dict[str, Any] = json.loads(self._backend.to_str())
        self._model: dict[str, Any] = self._content["model"]
        self._type = self._model["type"]
        if self._type not in TRIMMABLE:
            raise UserError(
                f"model.tokenizer: found a tokeniser of type {self._type}, expected one whose pieces do "
                f"not depend on one another: {', '.join(TRIMMABLE)}"
            )
        pieces = self._model["vocab"]
        self._ids: dict[str, int] = (
            {piece: i for i, (piece, _) in enumerate(pieces)} if self._type == UNIGRAM else pieces
        )
        self._prefix: str = self._model.get("continuing_subword_prefix", "")

    def __len__(self) -> int:
        return len(self._tokenizer)

    def fixed(self) -> set[int]:
        """What stays whatever the texts are.

        Special and added tokens, what stands before the padding (whose id XLM-R's positions count from), and what
        Unigram needs for unknown characters.
        """
        tokenizer, model = self._tokenizer, self._model
        ids = {token["id"] for token in self._content["added_tokens"]}
        ids.update(tokenizer.all_special_ids, tokenizer("", "").input_ids, range(tokenizer.pad_token_id + 1))
        if self._type != UNIGRAM:
            return ids | {i for piece, i in self._ids.items() if piece == model["unk_token"]}
        scores = [score for _, score in model["vocab"]]
        ids.add(scores.index(min(scores)))
        if model["unk_id"] is not None:
            ids.add(model["unk_id"])
        if model["byte_fallback"]:
            ids.update(i for piece, i in self._ids.items() if BYTE_PIECE.fullmatch(piece))
        return ids

    def characters(self, used: Iterable[int]) -> set[int]:
        """The pieces of one character, for each character of the pieces `used`: they spell words that no text has."""
        if self._type == WORDLEVEL:
            return set()
        used = set(used)
        seen = {character for piece, i in self._ids.items() if i in used for character in self._bare(piece)}
        return {i for piece, i in self._ids.items() if self._bare(piece) in seen}

    def dead_ends(self, text: str) -> set[int]:
        """The pieces that WordPiece matches in a text's unknown words before it gives them up."""
        if self._type != WORDPIECE:
            return set()
        normalizer, splitter = self._backend.normalizer, self._backend.pre_tokenizer
        text = normalizer.normalize_str(text) if normalizer else text
        words = [word for word, _ in splitter.pre_tokenize_str(text)] if splitter else [text]
        return {i for word in words for i in self._matches(word)}

    def _matches(self, word: str) -> list[int]:
        """The longest match at each place, up to the first place without one."""
        found: list[int] = []
        start = 0
        while start < len(word) <= self._model["max_input_chars_per_word"]:
            prefix = self._prefix if start else ""
            end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in self._ids), None)
            if end is None:
                break
            found.append(self._ids[prefix + word[start:end]])
            start = end
        return found

    def _bare(self, piece: str) -> str:
        return piece.removeprefix(self._prefix)

    def trimmed(self, kept: Sequence[int]) -> str:
        """The content of a tokenizer.json with these pieces alone, numbered in the order of `kept`, which is sorted."""
        new = {old: i for i, old in enumerate(kept)}
        content, model = dict(self._content), dict(self._model)
        if self._type == UNIGRAM:
            model["vocab"] = [entry for i, entry in enumerate(model["vocab"]) if i in new]
            model["unk_id"] = new.get(model["unk_id"])
        else:
            numbered = sorted((new[i], piece) for piece, i in model["vocab"].items() if i in new)
            model["vocab"] = {piece: i for i, piece in numbered}
        content["model"] = model
        content["added_tokens"] = [token | {"id": new[token["id"]]} for token in content["added_tokens"]]
        if content["post_processor"]:
            content["post_processor"] = _renumbered(content["post_processor"], new)
        return json.dumps(content, ensure_ascii=False)


def _renumbered(processor: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """A post-processor, or several in a sequence, with the new ids of the tokens that it adds."""
    processor = dict(processor)
    if "processors" in processor:
        processor["processors"] = [_renumbered(part, new) for part in processor["processors"]]
    if "special_tokens" in processor:
        processor["special_tokens"] = {
            name: token | {"ids": [new[i] for i in token["ids"]]} for name, token in processor["special_tokens"].items()
        }
    for key in processor.keys() & {"cls", "sep"}:
        token, i = processor[key]
        processor[key] = [token, new[i]]
    return processor
