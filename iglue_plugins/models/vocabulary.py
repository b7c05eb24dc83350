"""Which pieces of a tokenizer's vocabulary some texts need, and the tokenizer with these pieces alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from iglue_plugins.utils.errors import UserError

UNIGRAM, WORDPIECE, WORDLEVEL = TRIMMABLE = ("Unigram", "WordPiece", "WordLevel")  # model types of `tokenizers`
BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")


class Vocabulary:
    """The vocabulary of a tokenizer that can be trimmed: without unused pieces it tokenizes a text as before.

    - Unigram: the best segmentation keeps its score, no other one gains, and among equal ones the same is found first.
      The cost of an unknown character depends on the lowest score in the vocabulary, so the piece that has it is kept.
    - WordPiece: the longest match at each position remains the longest. A word is unknown if nothing matches at some
      position. The matches before that position are kept too, since shorter ones could lead past it.
    - WordLevel: a piece is a whole word.

    BPE cannot be trimmed, because its pieces are merged from others that no text shows.

    Args:
        tokenizer: The tokenizer.

    Raises:
        UserError: The tokenizer does not come from the library `tokenizers`, or is of another type.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise UserError(
                f"model.tokenizer: a {type(tokenizer).__name__} has no tokenizer.json and cannot be trimmed; use a "
                "tokenizer of the library tokenizers"
            )
        self._backend = backend
        self._content: dict[str, Any] = json.loads(backend.to_str())
        self._model: dict[str, Any] = self._content["model"]
        self._type = self._model["type"]
        if self._type not in TRIMMABLE:
            raise UserError(
                f"model.tokenizer: a tokenizer of type {self._type} cannot be trimmed, because its pieces depend on "
                f"one another; the types that can be are {', '.join(TRIMMABLE)}"
            )
        pieces = self._model["vocab"]
        self._ids: dict[str, int] = (
            {piece: i for i, (piece, _) in enumerate(pieces)} if self._type == UNIGRAM else pieces
        )
        self._prefix: str = self._model.get("continuing_subword_prefix", "")

    def __len__(self) -> int:
        return len(self._tokenizer)

    def required_ids(self) -> set[int]:
        """Return the ids that are kept whatever the texts are.

        These are the special and added tokens, all ids up to the padding's (from which XLM-R counts its positions), and
        the pieces that Unigram needs for unknown characters.
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

    def character_ids(self, used: Iterable[int]) -> set[int]:
        """Return the ids of the one-character pieces that spell new words in the characters of known pieces.

        Args:
            used: Ids of the pieces whose characters are to be covered.

        Returns:
            The ids; none for WordLevel, which does not spell words.
        """
        if self._type == WORDLEVEL:
            return set()
        used = set(used)
        seen = {character for piece, i in self._ids.items() if i in used for character in self._without_prefix(piece)}
        return {i for piece, i in self._ids.items() if self._without_prefix(piece) in seen}

    def failed_word_pieces(self, text: str) -> set[int]:
        """Return the ids of the pieces that WordPiece matches in unknown words before it fails.

        Args:
            text: A text, which is normalized and split into words as the tokenizer does it.

        Returns:
            The ids, those of known words included; none for the other types of tokenizer.
        """
        if self._type != WORDPIECE:
            return set()
        normalizer, splitter = self._backend.normalizer, self._backend.pre_tokenizer
        text = normalizer.normalize_str(text) if normalizer else text
        words = [word for word, _ in splitter.pre_tokenize_str(text)] if splitter else [text]
        return {i for word in words for i in self._longest_matches(word)}

    def _longest_matches(self, word: str) -> list[int]:
        """Return the longest match at each position of a word, up to the first position without a match."""
        matches: list[int] = []
        start = 0
        while start < len(word) <= self._model["max_input_chars_per_word"]:
            prefix = self._prefix if start else ""
            end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in self._ids), None)
            if end is None:
                break
            matches.append(self._ids[prefix + word[start:end]])
            start = end
        return matches

    def _without_prefix(self, piece: str) -> str:
        return piece.removeprefix(self._prefix)

    def trimmed_json(self, kept: Sequence[int]) -> str:
        """Make the content of a tokenizer.json that has some of the pieces alone.

        Args:
            kept: The ids to keep, sorted; the new ids are their positions in this sequence.

        Returns:
            The file's content.
        """
        new_ids = {old: new for new, old in enumerate(kept)}
        content, model = dict(self._content), dict(self._model)
        if self._type == UNIGRAM:
            model["vocab"] = [entry for i, entry in enumerate(model["vocab"]) if i in new_ids]
            model["unk_id"] = new_ids.get(model["unk_id"])
        else:
            renumbered = sorted((new_ids[i], piece) for piece, i in model["vocab"].items() if i in new_ids)
            model["vocab"] = {piece: i for i, piece in renumbered}
        content["model"] = model
        content["added_tokens"] = [token | {"id": new_ids[token["id"]]} for token in content["added_tokens"]]
        if content["post_processor"]:
            content["post_processor"] = _renumber_processor(content["post_processor"], new_ids)
        return json.dumps(content, ensure_ascii=False)


def _renumber_processor(processor: Mapping[str, Any], new_ids: Mapping[int, int]) -> dict[str, Any]:
    """Give a post-processor, or each one of a sequence, the new ids of the tokens that it adds."""
    processor = dict(processor)
    if "processors" in processor:
        processor["processors"] = [_renumber_processor(part, new_ids) for part in processor["processors"]]
    if "special_tokens" in processor:
        processor["special_tokens"] = {
            name: token | {"ids": [new_ids[i] for i in token["ids"]]}
            for name, token in processor["special_tokens"].items()
        }
    for key in processor.keys() & {"cls", "sep"}:
        token, i = processor[key]
        processor[key] = [token, new_ids[i]]
    return processor
