"""The pre-training objective: what is masked, which pairs are true, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models import pretraining
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.pretrain import CaptionedImages, Pretrain, PretrainObjective
from iglue_plugins.trainers.settings.pretrain import PretrainSettings
from iglue_plugins.trainers.training_data import TrainingData

MakeItems = Callable[..., list[dict]]


@pytest.fixture
def items(captions: Task, processor: RegionProcessor) -> MakeItems:
    """The steps of a training with these settings."""

    def make(**settings: object) -> list[dict]:
        chosen = PretrainSettings(**{"steps": 3, "batch_size": 16, "language_shares": {"en": 1, "tr": 1}} | settings)
        return list(
            map(
                Pretrain(chosen).steps(TrainingData(captions, processor, ("en",), (), seed=0)).__getitem__,
                range(chosen.steps),
            )
        )

    return make


@pytest.fixture
def objective(make_model: Callable[..., PreTrainedModel]) -> Callable[..., PretrainObjective]:
    def make(**settings: object) -> PretrainObjective:
        model = make_model()
        model.set_head("image_text_matching", 1)
        return PretrainObjective(model, PretrainSettings(language_shares={"en": 1}, **settings))

    return make


def test_the_loss_is_the_sum_of_three_finite_losses_whose_gradient_reaches_everything(
    objective: Callable[..., PretrainObjective], items: MakeItems
) -> None:
    losses = (made := objective())(**items()[0])
    assert losses.keys() == {"loss", "contrastive_loss", "masked_word_loss", "matching_loss"}
    assert all(value.isfinite() and value > 0 for value in losses.values())
    torch.testing.assert_close(losses["loss"], sum(value for name, value in losses.items() if name != "loss"))
    losses["loss"].backward()
    assert [name for name, parameter in made.named_parameters() if not parameter.grad.any()] == []


@pytest.mark.parametrize(("masked_share", "masks"), [(0.999999, "all"), (0.3, "some"), (1e-9, "none")])
def test_words_are_masked_and_special_tokens_are_not(
    objective: Callable[..., PretrainObjective],
    items: MakeItems,
    tokenizer: PreTrainedTokenizerBase,
    masked_share: float,
    masks: str,
) -> None:
    made, item = objective(masked_share=masked_share), items()[0]
    read, encode = [], made.model.encoder.forward
    made.model.encoder.forward = lambda *args, **rows: read.append(rows.get("input_ids")) or encode(*args, **rows)
    torch.manual_seed(0)
    loss = made(**item)["masked_word_loss"]
    (masked_ids,) = (ids for ids in read if ids is not None)
    ids = item["batch"].text["input_ids"]
    words = torch.tensor([[token not in tokenizer.all_special_ids for token in row] for row in ids.tolist()])
    masked = masked_ids != ids
    assert (masked_ids[masked] == tokenizer.mask_token_id).all()
    assert not (masked & ~words).any()
    assert {"all": words.sum(), "some": masked.sum(), "none": 0}[masks] == masked.sum()
    if masks == "some":
        assert 0.15 < masked.sum() / words.sum() < 0.45
    assert (loss.item() == 0) is (masks == "none")


def test_the_masked_words_themselves_are_the_targets(
    objective: Callable[..., PretrainObjective], items: MakeItems, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, item = objective(masked_share=0.999999), items()[0]
    targets = []
    entropy = pretraining.functional.cross_entropy
    monkeypatch.setattr(
        pretraining.functional,
        "cross_entropy",
        lambda logits, wanted, **options: targets.append(wanted) or entropy(logits, wanted, **options),
    )
    made(**item)
    ids = item["batch"].text["input_ids"]
    assert torch.equal(targets[-1], ids[~torch.isin(ids, item["special_tokens"])])


def test_the_matching_loss_has_true_pairs_and_hard_negatives(
    objective: Callable[..., PretrainObjective], items: MakeItems
) -> None:
    made, (item, *_) = objective(), items()
    seen: dict[str, Tensor] = {}

    def perfect(module: PreTrainedModel, args: tuple, rows: dict[str, Tensor], logits: Tensor) -> Tensor:
        seen.update(rows)
        return torch.tensor([[20.0]] * 16 + [[-20.0]] * 16)

    made.model.register_forward_hook(perfect, with_kwargs=True)
    # Each text is most similar to the image of its pair.
    made.model.embed_text = made.model.embed_image = lambda **rows: torch.eye(16)
    assert made(**item)["matching_loss"] < 1e-6
    assert seen.keys() == item["batch"].inputs.keys()
    for key, value in item["batch"].inputs.items():
        true, hard = seen[key][:16], seen[key][16:]
        assert torch.equal(true, value)
        if key.startswith("region"):  # every hard image is another one of the batch
            assert all((row == value).flatten(1).all(1).any() for row in hard), key
        else:
            assert torch.equal(hard, value)
    assert (seen["region_features"][:16] != seen["region_features"][16:]).flatten(1).any(1).all()


def test_images_that_belong_to_a_text_are_no_negatives(
    objective: Callable[..., PretrainObjective], items: MakeItems
) -> None:
    """Captions 0 to 13 are the same text, and caption 14 has the image of 15: each has few negatives left."""
    item = items()[0]
    batch = item["batch"] = replace(
        item["batch"],
        text_identity=torch.tensor([0] * 14 + [14, 15]),
        image_identity=torch.tensor([*range(14), 14, 14]).unsqueeze(1),
    )
    seen: list[dict[str, Tensor]] = []
    losses = {}
    for choice in ("masked", "negatives"):
        made = objective(same_image_pairs=choice)
        made.model.register_forward_hook(lambda module, args, rows, logits: seen.append(rows), with_kwargs=True)
        losses[choice] = made(**item)
    assert losses["masked"]["contrastive_loss"] < losses["negatives"]["contrastive_loss"]
    features = batch.image["region_features"]
    hard = [
        [next(i for i in range(16) if torch.equal(features[i], row)) for row in rows["region_features"][16:]]
        for rows in seen
    ]
    assert all(image >= 14 for image in hard[0][:14]) and all(image < 14 for image in hard[0][14:])
    assert any(image < 14 for image in hard[1][:14])


def test_captions_of_one_image_alone_have_no_hard_pairs(
    objective: Callable[..., PretrainObjective], items: MakeItems
) -> None:
    item = items()[0]
    item["batch"] = replace(item["batch"], image_identity=torch.zeros(16, 1, dtype=torch.int64))
    made = objective()
    made.model.register_forward_hook(lambda *_: torch.tensor([[20.0]] * 16 + [[20.0]] * 16))
    losses = made(**item)
    assert losses["contrastive_loss"] == 0
    assert losses["matching_loss"] < 1e-6, "all pairs are true, and the model says so"


def test_the_first_steps_see_single_regions_and_languages_are_drawn_by_their_shares(
    items: MakeItems, captions: Task, tokenizer: PreTrainedTokenizerBase
) -> None:
    steps = items(batch_size=6, single_region_steps=2, steps=4, language_shares={"en": 3, "tr": 1, "de": 0})
    regions = [item["batch"].image["region_mask"].sum(1) for item in steps]
    assert all((count == 2).all() for count in regions[:2])  # the global region and the object's
    assert all((count > 2).any() for count in regions[2:])
    seen = {
        text
        for item in items(steps=10, language_shares={"en": 3, "tr": 1, "de": 0})
        for text in tokenizer.batch_decode(item["batch"].text["input_ids"], skip_special_tokens=True)
    }
    texts = {language: set(captions.load("train", language)["text"]) for language in ("en", "tr", "de")}
    assert len(seen & texts["en"]) > len(seen & texts["tr"]) > 0
    assert not seen & (texts["de"] - texts["en"] - texts["tr"])


def test_training_lowers_the_contrastive_loss_below_chance(
    make_model: Callable[..., PreTrainedModel],
    captions: Task,
    processor: RegionProcessor,
    items: MakeItems,
    tmp_path: Path,
) -> None:
    settings = PretrainSettings(
        steps=60, batch_size=16, learning_rate=5e-3, temperature=0.5, language_shares={"en": 1, "tr": 1}
    )
    model = make_model()
    Pretrain(settings).fit(model, processor, captions, folder=tmp_path)
    assert (model.config.head, model.config.num_labels) == ("image_text_matching", 1)
    with torch.no_grad():
        losses = PretrainObjective(model.eval(), settings)(**items()[0])
    assert losses["contrastive_loss"] < math.log(16) - 0.2  # log(16) is the loss of guessing among 16


def test_languages_may_have_captions_of_other_images_and_any_number_of_an_image() -> None:
    english, french = [7, 7, 7, 3, 3, 9], [9, 7]
    captioned = CaptionedImages(np.asarray(english + french), [6, 2], np.asarray([3.0, 1.0]))
    assert captioned.images.tolist() == [7, 3, 9]
    rng = np.random.default_rng(0)
    drawn = np.stack([captioned.draw(np.arange(3), rng) for _ in range(4000)])
    for place, shares in enumerate(
        ({0: 1 / 4, 1: 1 / 4, 2: 1 / 4, 7: 1 / 4}, {3: 1 / 2, 4: 1 / 2}, {5: 3 / 4, 6: 1 / 4})
    ):
        counts = np.bincount(drawn[:, place], minlength=8) / len(drawn)
        np.testing.assert_allclose(counts, [shares.get(caption, 0) for caption in range(8)], atol=0.03)


def test_where_all_languages_have_a_caption_of_each_image_the_draws_are_those_of_image_and_language() -> None:
    images, shares = np.tile(np.arange(5), 3), np.asarray([0.5, 0.2, 0.3])
    captioned = CaptionedImages(images, [5, 5, 5], shares)
    chosen = np.asarray([4, 0, 2])
    language = np.random.default_rng(1).choice(3, 3, p=shares)
    assert captioned.draw(chosen, np.random.default_rng(1)).tolist() == (language * 5 + chosen).tolist()


@pytest.mark.parametrize(("negatives", "drawn"), [("similar", {1}), ("random", set(range(1, 16)))])
def test_the_other_image_of_a_caption_is_a_similar_or_a_random_one(
    objective: Callable[..., PretrainObjective], items: MakeItems, negatives: str, drawn: set[int]
) -> None:
    made, (item, *_) = objective(matching_negatives=negatives, losses=("matching",)), items()
    images: list[Tensor] = []
    made.model.register_forward_hook(
        lambda module, args, rows, logits: images.append(rows["region_features"][16:]), with_kwargs=True
    )
    # Each text is most similar to the image of its pair, and then to the next one.
    vectors = torch.eye(16)
    made.model.embed_text = lambda **rows: vectors + 0.9 * vectors.roll(1, 1)
    made.model.embed_image = lambda **rows: vectors
    for _ in range(20):
        made(**item)
    true = item["batch"].image["region_features"]
    found = {
        (other - place) % 16
        for batch in images
        for place, features in enumerate(batch)
        for other in [int((true == features).flatten(1).all(1).nonzero()[0])]
    }
    assert found == drawn
