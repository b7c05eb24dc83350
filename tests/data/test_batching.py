"""Batches: the content of each row, padding, masks and dtypes; wrong candidates for retrieval."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.texts import TokenizedTexts
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.utils.errors import UserError

IMAGES = {"a": [[0, 0]], "b": [[1, 1], [1, 1]], "c": [[8, 8]], "d": [[3, 3], [0, 6], [6, 0]]}
DTYPES = {
    "input_ids": torch.int64,
    "attention_mask": torch.int64,
    "region_features": torch.float32,
    "region_locations": torch.float32,
    "region_mask": torch.int64,
}


@pytest.fixture
def nli(make_batcher: Callable[..., Batcher]) -> Batcher:
    return make_batcher(
        XVNLI,
        [("5", ["a"], "neutral", "5 6 7"), ("6 7 8", ["b"], "entailment", "8"), ("9 9", ["c"], "contradiction", "9")],
        IMAGES,
    )


@pytest.fixture
def retrieval(make_batcher: Callable[..., Batcher]) -> Batcher:
    return make_batcher(XFlickrCO, [(str(10 + i), [image_id], "match") for i, image_id in enumerate("abcd")], IMAGES)


@pytest.fixture
def two_captions(make_batcher: Callable[..., Batcher]) -> Batcher:
    """Images a, b and c with two captions each; the captions of an image are not neighbors."""
    return make_batcher(XFlickrCO, [(str(10 + i), [image_id], "match") for i, image_id in enumerate("abcabc")], IMAGES)


def test_texts_are_padded_to_the_longest_of_the_batch(nli: Batcher) -> None:
    batch = nli.batch([1, 0])
    assert batch.inputs["input_ids"].tolist() == [[0, 6, 7, 8, 2], [0, 5, 2, 1, 1]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert nli.batch([0]).inputs["input_ids"].tolist() == [[0, 5, 2]]


def test_regions_and_labels_of_a_classification_batch(nli: Batcher) -> None:
    batch = nli.batch([0, 1])
    assert batch.inputs["region_features"].tolist() == [[[0, 0], [0, 0]], [[1, 1], [1, 1]]]
    assert batch.inputs["region_mask"].tolist() == [[1, 0], [1, 1]]
    assert batch.labels.tolist() == [XVNLI.labels.index("neutral"), XVNLI.labels.index("entailment")]


@pytest.mark.parametrize(
    ("kind", "rows", "rows_per_example", "images"),
    [
        (XVNLI, [("5", ["a"], "neutral"), ("6", ["d"], "neutral"), ("7 7", ["b"], "neutral")], 1, 1),
        (MaRVL, [("5", ["a", "b"], "True"), ("6", ["d", "a"], "False"), ("7 7", ["b", "c"], "True")], 2, 2),
        (XFlickrCO, [("5", ["a"], "match"), ("6", ["d"], "match"), ("7 7", ["b"], "match")], 4, 1),
    ],
)
def test_a_batchs_tensors_have_the_documented_shapes_and_dtypes(
    make_batcher: Callable[..., Batcher], kind: type, rows: list, rows_per_example: int, images: int
) -> None:
    batch = make_batcher(kind, rows, IMAGES).batch([0, 1, 2])
    count = 3 * rows_per_example
    assert {key: value.dtype for key, value in batch.inputs.items()} == DTYPES
    assert {key: tuple(value.shape) for key, value in batch.inputs.items()} == {
        "input_ids": (count, 4),
        "attention_mask": (count, 4),
        "region_features": (count, 3, 2),
        "region_locations": (count, 3, 5),
        "region_mask": (count, 3),
    }
    assert (batch.inputs.rows, batch.text.rows, batch.image.rows) == (count, count, count)
    sides = {**batch.text, **batch.image}
    assert sides.keys() == DTYPES.keys() and all(sides[key] is batch.inputs[key] for key in DTYPES)
    assert {tuple(found.shape) for found in (batch.labels, batch.text_identity)} == {(3,)}
    assert batch.image_identity.shape == (3, images)
    assert {found.dtype for found in (batch.labels, batch.text_identity, batch.image_identity)} == {torch.int64}
    assert batch.caption is None and batch.caption_identity is None


def test_identities_are_equal_for_the_same_image_and_for_the_same_tokens(
    make_batcher: Callable[..., Batcher],
) -> None:
    rows = [
        ("5 6", ["a"], "neutral", "9"),
        ("5", ["b"], "neutral", "8 8"),
        (" 5  6 ", ["b"], "neutral", "5 6"),
        ("6 5", ["c"], "neutral", "8 8"),
    ]
    batch = make_batcher(XVNLI, rows, IMAGES).batch([3, 1, 2, 0, 1])
    assert batch.image_identity.tolist() == [[2], [1], [1], [0], [1]]
    assert batch.text_identity.tolist() == [3, 1, 0, 0, 1]
    assert batch.caption_identity.tolist() == [1, 1, 2, 0, 1]


def test_two_images_are_two_rows_with_the_same_text(make_batcher: Callable[..., Batcher]) -> None:
    batch = make_batcher(MaRVL, [("5", ["a", "c"], "True"), ("6", ["c", "b"], "False")], IMAGES).batch([1, 0])
    assert batch.inputs["input_ids"][:, 1].tolist() == [6, 6, 5, 5]
    assert batch.inputs["region_features"][:, 0, 0].tolist() == [8, 1, 0, 8]
    assert batch.labels.tolist() == [MaRVL.labels.index("False"), MaRVL.labels.index("True")]


def test_retrieval_rows_are_the_pair_a_wrong_caption_a_wrong_image_and_a_hard_wrong_caption(retrieval: Batcher) -> None:
    for seed in range(20):
        batch = retrieval.batch([0, 2], np.random.default_rng(seed))
        texts, images = (
            batch.inputs["input_ids"][:, 1].view(2, 4).tolist(),
            batch.inputs["region_features"][:, 0, 0].view(2, 4),
        )
        assert [row[0] for row in texts] == [row[2] for row in texts] == [10, 12]
        assert texts[0][1] != 10 and texts[1][1] != 12
        assert [row[3] for row in texts] == [11, 13], "the caption of the nearest image"
        assert images[:, [0, 1, 3]].tolist() == [[0, 0, 0], [8, 8, 8]]
        assert images[0, 2] != 0 and images[1, 2] != 8
    assert batch.labels.tolist() == [0, 0]


def test_wrong_candidates_are_drawn_anew_by_the_generator_and_fixed_without(retrieval: Batcher) -> None:
    drawn = {
        tuple(retrieval.batch([0, 1, 2, 3], np.random.default_rng(seed)).inputs["input_ids"][:, 1].tolist())
        for seed in range(10)
    }
    assert len(drawn) > 1
    fixed = [retrieval.batch([0, 1, 2, 3]).inputs["input_ids"] for _ in range(2)]
    assert torch.equal(*fixed)


def test_an_images_other_caption_is_never_a_wrong_candidate(two_captions: Batcher) -> None:
    image_of_text = dict(zip(range(10, 16), "abcabc", strict=True))
    image_of_feature = {0.0: "a", 1.0: "b", 8.0: "c"}
    seen = set()
    for seed in range(40):
        batch = two_captions.batch(range(6), np.random.default_rng(seed))
        texts = [image_of_text[token] for token in batch.inputs["input_ids"][:, 1].tolist()]
        images = [image_of_feature[feature] for feature in batch.inputs["region_features"][:, 0, 0].tolist()]
        for row, (text, image) in enumerate(zip(texts, images, strict=True)):
            assert (text == image) == (row % 4 == 0)
            seen.add((row % 4, text, image))
    wrong = {(text, image) for text in "abc" for image in "abc" if text != image}
    assert {(text, image) for kind, text, image in seen if kind == 1} == wrong, "every other caption is drawn"
    assert {(text, image) for kind, text, image in seen if kind == 2} == wrong, "every other image is drawn"


def test_examples_of_a_single_image_are_refused(make_batcher: Callable[..., Batcher]) -> None:
    batcher = make_batcher(XFlickrCO, [("5", ["a"], "match"), ("6", ["a"], "match")], IMAGES)
    with pytest.raises(UserError, match="task toy: .*2 examples"):
        batcher.batch([0])


def test_captions_are_padded_separately_from_texts(nli: Batcher, retrieval: Batcher) -> None:
    batch = nli.batch([0, 1])
    assert batch.caption["input_ids"].tolist() == [[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]]
    assert batch.caption["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch.caption.rows == 2 and retrieval.batch([0, 1]).caption is None


def test_rows_pair_any_text_with_any_image(nli: Batcher) -> None:
    batch = nli.rows(np.asarray([1, 0, 2]), np.asarray([0, 0, 2]), np.asarray([2, 1, 0]))
    assert batch.inputs["input_ids"][:, 1].tolist() == [5, 5, 9]
    assert batch.inputs["region_features"][:, 0, 0].tolist() == [8, 1, 0]
    assert batch.labels.tolist() == nli.targets[[1, 0, 2]].tolist(), "labels and identities are the examples' own"
    assert (batch.image_identity.tolist(), batch.text_identity.tolist()) == ([[1], [0], [2]], [1, 0, 2])


def test_pairs_are_each_example_once_with_its_first_image(
    retrieval: Batcher, make_batcher: Callable[..., Batcher]
) -> None:
    batch = retrieval.pairs(np.asarray([2, 0]))
    assert batch.inputs["input_ids"][:, 1].tolist() == [12, 10]
    assert batch.inputs["region_features"][:, 0, 0].tolist() == [8, 0]
    two = make_batcher(MaRVL, [("5", ["a", "c"], "True"), ("6", ["c", "b"], "False")], IMAGES).pairs(np.asarray([1, 0]))
    assert two.inputs["region_features"][:, 0, 0].tolist() == [8, 0]
    assert two.image_identity.tolist() == [[2, 1], [0, 2]]


def test_an_image_without_features_is_named(make_batcher: Callable[..., Batcher]) -> None:
    with pytest.raises(UserError, match="image 'zebra' has no region features among the 4 images"):
        make_batcher(XVNLI, [("5", ["zebra"], "neutral")], IMAGES)


def test_a_batcher_without_examples_is_refused(make_batcher: Callable[..., Batcher]) -> None:
    with pytest.raises(UserError, match="task toy: there are no examples to make batches of"):
        make_batcher(XVNLI, [], IMAGES)


@pytest.mark.parametrize("captions", [False, True])
def test_captions_are_tokenized_where_batches_have_them_or_somebody_asks(nli: Batcher, captions: bool) -> None:
    prepared: list[list[str]] = []

    class Recording(type(nli.processor)):
        def prepare_texts(self, texts: Sequence[str], max_length: int) -> TokenizedTexts:
            prepared.append(list(texts))
            return super().prepare_texts(texts, max_length)

    processor = Recording(nli.processor.tokenizer, global_region=False)
    batcher = Batcher(nli.dataset, nli.task, processor, captions=captions)
    batch, usual = batcher.batch([2, 0]), nli.batch([2, 0])
    assert prepared == [["5", "6 7 8", "9 9"], ["5 6 7", "8", "9"]][: 1 + captions]
    assert (batch.caption is None, batch.caption_identity is None) == (not captions,) * 2
    assert torch.equal(batch.inputs["input_ids"], usual.inputs["input_ids"])
    assert batcher.captions.lengths.tolist() == [5, 3, 3] and batcher.captions is batcher.captions
    assert len(prepared) == 2


def test_tokenized_texts_are_the_same_in_another_process(nli: Batcher) -> None:
    copied = pickle.loads(pickle.dumps(nli.texts)), nli.texts
    ids = [texts.inputs(np.asarray([1, 0]))["input_ids"] for texts in copied]
    assert torch.equal(*ids) and np.array_equal(*(texts.identity for texts in copied))
