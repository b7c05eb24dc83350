import statistics

import numpy as np
import pytest

from iglue_plugins.evaluation.metrics import accuracy, median_rank, recall_at, retrieval_ranks, retrieval_scores

# Captions 0 and 1 belong to image 0, caption 2 to image 1, caption 3 to image 2.
IMAGE_OF_CAPTION = [0, 0, 1, 2]
SIMILARITY = [
    [0.9, 0.2, 0.1],  # right first
    [0.3, 0.5, 0.4],  # right last
    [0.6, 0.8, 0.7],  # right first
    [0.1, 0.9, 0.6],  # right second
]


def test_percentages_are_those_that_are_nearest():
    """The mean of 251 hits of 400 is 0.6275, whose nearest float times 100 is 62.74999999999999."""
    hits = [1] * 251 + [0] * 149
    assert accuracy(hits, [1] * 400) == 62.75
    assert recall_at([2 - hit for hit in hits], 1) == 62.75


def test_accuracy_is_a_percentage():
    assert accuracy([1, 0, 2, 2], [1, 1, 2, 0]) == 50.0
    assert accuracy(["cat", "dog", "owl"], ["cat", "dog", "owl"]) == 100.0


@pytest.mark.parametrize(("predictions", "labels"), [([1, 0], [1]), ([], []), ([[1]], [[1]])])
def test_accuracy_refuses_other_shapes(predictions, labels):
    with pytest.raises(ValueError, match="two equally long"):
        accuracy(predictions, labels)


def test_ranks_of_a_worked_matrix():
    image_ranks, caption_ranks = retrieval_ranks(SIMILARITY, IMAGE_OF_CAPTION)
    assert image_ranks.tolist() == [1, 3, 1, 2]
    # Image 0: its better caption (0.9) leads. Image 1: 0.8 is behind caption 3's 0.9. Image 2: 0.6 is behind 0.7.
    assert caption_ranks.tolist() == [1, 2, 2]
    assert image_ranks.dtype == caption_ranks.dtype == np.int64


def test_recalls_and_median_of_the_worked_matrix():
    image_ranks, caption_ranks = retrieval_ranks(SIMILARITY, IMAGE_OF_CAPTION)
    assert [recall_at(image_ranks, k) for k in (1, 2, 3)] == [50.0, 75.0, 100.0]
    assert recall_at(caption_ranks, 1) == pytest.approx(100 / 3)
    assert recall_at(caption_ranks, 2) == 100.0
    assert median_rank(image_ranks) == 1.5
    assert median_rank(caption_ranks) == 2.0


def random_matrix(seed, decimals):
    """Draw the scores of 30 captions with 11 images, each with 1 to 5 captions; few decimals make ties."""
    rng = np.random.default_rng(seed)
    image_of_caption = rng.permutation(np.repeat(np.arange(11), [5, 1, 2, 3, 1, 4, 1, 5, 2, 3, 3]))
    return rng.random((30, 11)).round(decimals), image_of_caption


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [1, 9])
def test_ranks_and_scores_equal_plain_loops(seed, decimals):
    similarity, image_of_caption = random_matrix(seed, decimals)
    image_ranks, caption_ranks = [], []
    for caption, right in enumerate(image_of_caption):
        rank = 1
        for image in range(11):
            if image != right and similarity[caption][image] >= similarity[caption][right]:
                rank += 1
        image_ranks.append(rank)
    for image in range(11):
        best = max(similarity[caption][image] for caption in range(30) if image_of_caption[caption] == image)
        rank = 1
        for caption in range(30):
            if image_of_caption[caption] != image and similarity[caption][image] >= best:
                rank += 1
        caption_ranks.append(rank)
    found = retrieval_ranks(similarity, image_of_caption)
    assert (found[0].tolist(), found[1].tolist()) == (image_ranks, caption_ranks)
    expected = {}
    for direction, ranks in (("image", image_ranks), ("text", caption_ranks)):
        for k in (1, 5, 10):
            expected[f"{direction}_recall@{k}"] = pytest.approx(100 * len([r for r in ranks if r <= k]) / len(ranks))
        expected[f"{direction}_median_rank"] = statistics.median(ranks)
    assert retrieval_scores(*found) == expected


@pytest.mark.parametrize("seed", range(5))
def test_without_ties_the_ranks_are_those_of_a_sorted_list(seed):
    """VOLTA ranks so: the position of the image, and the best position of one of an image's captions."""
    similarity, image_of_caption = random_matrix(seed, 9)
    image_ranks, caption_ranks = retrieval_ranks(similarity, image_of_caption)
    by_image = np.argsort(-similarity, axis=1)
    assert image_ranks.tolist() == [1 + by_image[i].tolist().index(image_of_caption[i]) for i in range(30)]
    by_caption = np.argsort(-similarity, axis=0)
    assert caption_ranks.tolist() == [
        1 + min(by_caption[:, image].tolist().index(caption) for caption in np.flatnonzero(image_of_caption == image))
        for image in range(11)
    ]


def test_the_other_captions_of_an_image_are_no_competitors():
    _, caption_ranks = retrieval_ranks([[0.9, 0.0], [0.9, 0.0], [0.1, 0.5]], [0, 0, 1])
    assert caption_ranks.tolist() == [1, 1]


def test_a_tied_wrong_candidate_is_ranked_before_the_right_one():
    image_ranks, caption_ranks = retrieval_ranks([[0.5, 0.5, 0.1], [0.4, 0.7, 0.2], [0.1, 0.7, 0.9]], [0, 1, 2])
    assert image_ranks.tolist() == [2, 1, 1]
    assert caption_ranks.tolist() == [1, 2, 1]


@pytest.mark.parametrize("score", [0.0, 1.0, np.nan, -np.inf])
def test_a_constant_scorer_gets_no_credit(score):
    image_ranks, caption_ranks = retrieval_ranks(np.full((4, 3), score), IMAGE_OF_CAPTION)
    assert image_ranks.tolist() == [3, 3, 3, 3]
    assert caption_ranks.tolist() == [3, 4, 4]


@pytest.mark.parametrize(
    ("image_of_caption", "message"),
    [
        ([0, 1], "expected .captions, images. and .captions,."),
        ([0, 0, 1, 1], "each of the 3 images"),
        ([0, 1, 2, 3], "each of the 3 images"),
        ([0, 1, 2, -1], "each of the 3 images"),
    ],
)
def test_captions_must_cover_the_images(image_of_caption, message):
    with pytest.raises(ValueError, match=message):
        retrieval_ranks(SIMILARITY, image_of_caption)
