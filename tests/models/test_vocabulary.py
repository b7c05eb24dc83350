"""A trimmed tokenizer of any type tokenizes the texts as before."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import CanineTokenizer, PreTrainedTokenizerFast

from iglue_plugins.models.trim import count_usage
from iglue_plugins.models.vocabulary import Vocabulary
from iglue_plugins.utils.errors import UserError

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def wrap(backend: Tokenizer) -> PreTrainedTokenizerFast:
    backend.pre_tokenizer = backend.pre_tokenizer or pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def unigram(pieces: dict[str, float], byte_fallback: bool = False) -> PreTrainedTokenizerFast:
    vocabulary = [*((token, 0.0) for token in SPECIAL), *pieces.items()]
    return wrap(Tokenizer(models.Unigram(vocabulary, SPECIAL.index("<unk>"), byte_fallback)))


def wordpiece(pieces: Sequence[str]) -> PreTrainedTokenizerFast:
    vocabulary = {piece: i for i, piece in enumerate([*SPECIAL, *pieces])}
    return wrap(Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>", max_input_chars_per_word=10)))


def trim(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], keep_tokens: int | None = None) -> Tokenizer:
    vocabulary = Vocabulary(tokenizer)
    kept = count_usage({"texts": [texts]}, vocabulary, tokenizer).kept_ids(vocabulary, keep_tokens)
    trimmed = Tokenizer.from_str(vocabulary.trimmed_json(kept))
    assert trimmed.get_vocab_size() == len(kept)
    assert [trimmed.id_to_token(new) for new in range(len(kept))] == tokenizer.convert_ids_to_tokens(kept)
    return trimmed


def pieces_of(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[str]]:
    """Return the pieces of each text, with <unk> for unknown ones."""
    return [[tokenizer.id_to_token(i) for i in tokenizer.encode(text).ids] for text in texts]


def random_texts(draw: random.Random, alphabet: str, longest: int = 12) -> list[str]:
    return [" ".join("".join(draw.choices(alphabet, k=draw.randint(1, longest))) for _ in range(2)) for _ in range(5)]


def random_pieces(draw: random.Random, alphabet: str, number: int) -> list[str]:
    return sorted({"".join(draw.choices(alphabet, k=draw.randint(1, 4))) for _ in range(number)})


@pytest.mark.parametrize("seed", range(40))
def test_random_unigrams_with_ties_and_unknown_characters(seed: int) -> None:
    draw = random.Random(seed)
    pieces = random_pieces(draw, "abcé", draw.randint(3, 40))
    tokenizer = unigram({piece: -draw.choice([0.1, 1.0, 2.0, 3.0, 9.7]) for piece in pieces})
    texts = random_texts(draw, "abcé☃")
    assert pieces_of(trim(tokenizer, texts), texts) == pieces_of(tokenizer.backend_tokenizer, texts)


@pytest.mark.parametrize("seed", range(40))
def test_random_wordpieces_with_unknown_words(seed: int) -> None:
    draw = random.Random(seed)
    starts = random_pieces(draw, "ab", draw.randint(3, 10))
    middles = [f"##{piece}" for piece in random_pieces(draw, "ab", draw.randint(3, 10))]
    tokenizer, texts = wordpiece([*starts, *middles]), random_texts(draw, "ab", longest=5)
    assert pieces_of(trim(tokenizer, texts), texts) == pieces_of(tokenizer.backend_tokenizer, texts)


def test_an_unknown_character_costs_what_it_did() -> None:
    tokenizer = unigram({"a": -30.0, "x☃": -30.0, "ax": -1.0, "unused": -100.0, "gone": -5.0})
    texts = ["ax☃", "ax"]
    expected = [["a", "x☃"], ["ax"]]  # with 'unused' gone too, an unknown ☃ would cost 40, less than 'x☃' costs more
    assert pieces_of(tokenizer.backend_tokenizer, texts) == expected
    trimmed = trim(tokenizer, texts)
    assert pieces_of(trimmed, texts) == expected
    assert trimmed.token_to_id("gone") is None


def test_a_word_that_wordpiece_cannot_match_stays_unknown() -> None:
    tokenizer = wordpiece(["ab", "a", "##bc", "d", "##e"])
    texts = ["abc", "a", "d", "##bc", "dbc"]  # 'abc' starts with 'ab', after which nothing matches
    assert pieces_of(tokenizer.backend_tokenizer, texts)[0] == ["<unk>"]
    trimmed = trim(tokenizer, texts)
    assert pieces_of(trimmed, texts) == pieces_of(tokenizer.backend_tokenizer, texts)
    assert trimmed.token_to_id("##e") is None


def test_word_level() -> None:
    vocabulary = {piece: i for i, piece in enumerate([*SPECIAL, "here", "a", "there", "the"])}
    tokenizer = wrap(Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")))
    trimmed = trim(tokenizer, ["here the"])
    assert pieces_of(trimmed, ["the here", "there a"]) == [["the", "here"], ["<unk>", "<unk>"]]


def test_new_words_are_spelled_and_new_characters_are_unknown() -> None:
    letters = dict.fromkeys("abcdefg", -9.0)
    trimmed = trim(unigram({"bad": -1.0, "cab": -1.0, "egg": -1.0} | letters), ["bad cab"])
    assert pieces_of(trimmed, ["dab", "cabbad", "egg"]) == [["d", "a", "b"], ["cab", "bad"], ["<unk>"]]
    trimmed = trim(wordpiece(["bad", "c", "##ab", "d", "##d", "##a", "##b", "e", "##g"]), ["bad cab"])
    assert pieces_of(trimmed, ["dab", "dba", "eg"]) == [["d", "##ab"], ["d", "##b", "##a"], ["<unk>"]]


def test_bytes_stay_where_they_stand_for_unknown_characters() -> None:
    tokenizer = unigram({"a": -1.0, "b": -1.0} | {f"<0x{byte:02X}>": 0.0 for byte in range(256)}, byte_fallback=True)
    assert pieces_of(trim(tokenizer, ["a"]), ["é"]) == [["<0xC3>", "<0xA9>"]]


def test_the_most_frequent_pieces_alone() -> None:
    tokenizer = unigram({"cab": -1.0, "bad": -1.0, "a": -9.0, "b": -9.0, "c": -9.0, "d": -9.0})
    trimmed = trim(tokenizer, ["bad cab bad"], keep_tokens=1)
    assert pieces_of(trimmed, ["bad cab"]) == [["bad", "c", "a", "b"]]


def test_padding_keeps_its_id() -> None:
    scores = {"<unk>": 0.0, "unused": -3.0, "<pad>": 0.0, "no": -3.0, "a": -1.0, "<s>": 0.0, "</s>": 0.0}
    trimmed = trim(wrap(Tokenizer(models.Unigram(list(scores.items()), 0))), ["a"])
    assert [trimmed.id_to_token(i) for i in range(6)] == ["<unk>", "unused", "<pad>", "a", "<s>", "</s>"]


ROBERTA = processors.RobertaProcessing(("</s>", 6), ("<s>", 5), add_prefix_space=False)
TEMPLATE = processors.TemplateProcessing(
    single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 5), ("</s>", 6)]
)


@pytest.mark.parametrize("processor", [ROBERTA, TEMPLATE, processors.Sequence([processors.ByteLevel(), TEMPLATE])])
def test_everything_that_names_ids_is_renumbered(processor: processors.PostProcessor) -> None:
    vocabulary = [("<pad>", 0.0), ("<unk>", 0.0), ("gone", -3.0), ("a", -5.0), ("b", -1.0), ("<s>", 0.0), ("</s>", 0.0)]
    backend = Tokenizer(models.Unigram(vocabulary, 1))
    backend.post_processor = processor
    tokenizer = wrap(backend)
    tokenizer.add_tokens(["<mask>", "[REGION]"])
    trimmed = trim(tokenizer, ["b"])
    pieces = ["<pad>", "<unk>", "a", "b", "<s>", "</s>", "<mask>", "[REGION]"]
    assert trimmed.get_vocab() == {piece: i for i, piece in enumerate(pieces)}
    assert [pieces[i] for i in trimmed.encode("a [REGION] ☃").ids] == ["<s>", "a", "[REGION]", "<unk>", "</s>"]
    assert trimmed.encode("gone").ids == [4, 1, 5]


def test_the_words_of_a_normalized_text_are_kept() -> None:
    tokenizer = wordpiece(["fine", "fi", "ﬁne", "no"])
    tokenizer.backend_tokenizer.normalizer = normalizers.NFKC()
    trimmed = trim(tokenizer, ["ﬁne ﬁx"])
    assert pieces_of(trimmed, ["ﬁne ﬁx", "no"]) == [["fine", "<unk>"], ["<unk>"]]
    assert trimmed.token_to_id("fi") is not None  # which 'fix' is tried with


def test_tokenizers_that_cannot_be_trimmed() -> None:
    vocabulary = {piece: i for i, piece in enumerate([*SPECIAL, "a", "b", "ab"])}
    with pytest.raises(
        UserError,
        match="model.tokenizer: .* type BPE cannot be trimmed.* Unigram, WordPiece, WordLevel",
    ):
        Vocabulary(wrap(Tokenizer(models.BPE(vocabulary, [("a", "b")], unk_token="<unk>"))))
    with pytest.raises(UserError, match="model.tokenizer: a CanineTokenizer has no tokenizer.json"):
        Vocabulary(CanineTokenizer())
