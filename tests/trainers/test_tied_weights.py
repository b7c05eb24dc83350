"""Models and objectives that have a weight under several names: meta-gradients, checkpoints, saving and loading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from meta_gradients import assert_equal_gradients, meta_gradient
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.episodes import Steps
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers import engine
from iglue_plugins.trainers.inner_parameters import adapted_parameters
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils.errors import UserError

WORDS, OUTPUT = "words.weight", "output.weight"
MakeMeta = Callable[..., MetaObjective]
SETTINGS = {"steps": 4, "support_size": 4, "query_size": 4, "learning_rate": 1e-2, "save_every": 2}


class TiedConfig(PreTrainedConfig):
    model_type = "tied_of_another_package"
    vocab_size: int = 8
    region_feature_size: int = 8
    tie_word_embeddings: bool = True


def text_vectors(words: Tensor, output: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """The mean of the words' rows, and of those that the output layer predicts from it."""
    mask = attention_mask.unsqueeze(-1)
    text = (words[input_ids] * mask).sum(1) / mask.sum(1)
    return text + torch.tanh(text @ output.T) @ words / len(words) ** 0.5


class TiedModel(PreTrainedModel):
    """A plugin's model whose output layer has the matrix of the word embeddings."""

    config_class = TiedConfig
    token_id_keys = ("input_ids",)
    _tied_weights_keys = {OUTPUT: WORDS}  # as transformers' models have it

    def __init__(self, config: TiedConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, 4)
        self.regions = nn.Linear(config.region_feature_size, 4)
        self.head = nn.Linear(4, 3)
        self.output = nn.Linear(4, config.vocab_size, bias=False)
        self.dropout = nn.Dropout(0.1)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.words

    def set_head(self, kind: str, num_labels: int) -> None:
        assert num_labels == 3

    def embed_text(self, input_ids, attention_mask):
        return self.dropout(text_vectors(self.words.weight, self.output.weight, input_ids, attention_mask))

    def embed_image(self, region_features, images_per_text=1, **_):
        return self.regions(region_features).mean(1)

    def forward(self, input_ids, attention_mask, **regions):
        return self.head(self.embed_text(input_ids, attention_mask) * self.embed_image(**regions))


@pytest.fixture
def tied(tokenizer: PreTrainedTokenizerBase, batchers: dict[str, Batcher]) -> TiedModel:
    torch.manual_seed(0)
    size = batchers["tr"].batch(range(1)).image["region_features"].shape[-1]
    model = TiedModel(TiedConfig(vocab_size=len(tokenizer), region_feature_size=size))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    assert model.output.weight is model.words.weight
    return model


# Meta-gradients


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("storage", ["graphs", "start"])
def test_the_meta_gradient_of_tied_weights_is_that_of_one_matrix(
    tied: TiedModel, meta: MakeMeta, batchers: dict, doubled: Callable[[Batch], Batch], storage: str, first_order: bool
) -> None:
    """The reference is plain autograd over the model's formula, in which the matrix is one variable."""
    batch = batchers["tr"].batch
    support, query = doubled(batch(range(5))), doubled(batch(range(5, 9)))
    model = tied.double().eval()
    settings = {"inner_steps": 2, "inner_lr": 0.3, "first_order": first_order, "inner_storage": storage}
    objective = meta(model, **settings, inner_loss="task", outer_loss="task")
    loss, found = meta_gradient(objective, [{"language": "tr", "support": support, "query": query}])

    trained = dict(model.named_parameters())

    def task_loss(theta: dict[str, Tensor], part: Batch) -> Tensor:
        text = text_vectors(theta[WORDS], theta[WORDS], **part.text)
        image = (part.image["region_features"] @ theta["regions.weight"].T + theta["regions.bias"]).mean(1)
        logits = (text * image) @ theta["head.weight"].T + theta["head.bias"]
        return nn.functional.binary_cross_entropy_with_logits(logits, torch.eye(3).double()[part.labels])

    theta = dict(trained)
    for _ in range(2):
        slopes = torch.autograd.grad(task_loss(theta, support), list(theta.values()), create_graph=not first_order)
        theta = {name: theta[name] - 0.3 * slope for name, slope in zip(theta, slopes, strict=True)}
    expected = torch.autograd.grad(task_loss(theta, query), list(trained.values()))
    torch.testing.assert_close(loss, task_loss(theta, query).detach(), rtol=1e-12, atol=0)
    assert_equal_gradients(
        found, {f"batch_loss.model.{name}": value for name, value in zip(trained, expected, strict=True)}, 1e-12
    )
    assert found[f"batch_loss.model.{WORDS}"].abs().max() > 1e-3


def test_a_tied_weight_adapts_under_each_of_its_names(tied: TiedModel) -> None:
    assert adapted_parameters(tied, ("output.*",)) == [WORDS]
    assert adapted_parameters(tied, ("output.*", "head.bias", WORDS)) == [WORDS, "head.bias"]


# Checkpoints, saving and loading


def test_a_model_with_tied_weights_resumes_to_the_same_weights_and_is_saved_and_loaded(
    tied: TiedModel, task: Task, processor: RegionProcessor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = {name: value.clone() for name, value in tied.state_dict().items()}

    def fit(folder: str, **settings: object) -> TiedModel:
        tied.load_state_dict(start)
        trainer = XVLMAML(XVLMAMLSettings(**SETTINGS | settings))
        trainer.fit(tied, processor, task, auxiliary_languages=("tr", "de"), seed=2, folder=tmp_path / folder)
        return tied

    expected = {name: value.clone() for name, value in fit("whole", validate_every=2).state_dict().items()}
    with monkeypatch.context() as patch:
        forward, calls = MetaObjective.forward, []

        def fail(self: MetaObjective, episodes: list[dict], step: int) -> dict[str, Tensor]:
            calls.append(1)
            if len(calls) == 4:
                raise RuntimeError("the power fails")
            return forward(self, episodes, step)

        patch.setattr(MetaObjective, "forward", fail)
        with pytest.raises(RuntimeError, match="the power fails"):
            fit("stopped", validate_every=2)
    resumed = fit("stopped", validate_every=2)
    assert resumed.output.weight is resumed.words.weight
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())
    assert not torch.equal(resumed.words.weight, start[WORDS])

    resumed.save_pretrained(tmp_path / "model")
    loaded = TiedModel.from_pretrained(tmp_path / "model")
    assert loaded.output.weight is loaded.words.weight
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


class TiedObjective(nn.Module):
    """A plugin's objective that uses a weight of its model under a name of its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.words = model.weight
        self.register_buffer("mean", torch.zeros(3))
        self.twice = self.mean  # a buffer with two names

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        self.mean += inputs.mean(0)
        return {"loss": (self.model(inputs) @ self.words).pow(2).mean() + self.mean.sum() * 0}


def test_an_objective_that_ties_weights_resumes(tmp_path: Path) -> None:
    steps = Steps(lambda step: {"inputs": torch.full((2, 3), step + 1.0)}, 4)

    def train(folder: Path, count: int) -> dict[str, Tensor]:
        torch.manual_seed(0)
        objective = TiedObjective(nn.Linear(3, 3))
        settings = TrainerSettings(steps=4, learning_rate=0.1, save_every=2)
        until = Steps(lambda step: steps[step] if step < count else 1 / 0, 4)
        try:
            engine.train(objective, until, settings, seed=0, folder=folder)
        except ZeroDivisionError:
            assert count < 4
        assert objective.words is objective.model.weight
        return objective.state_dict()

    expected = train(tmp_path / "whole", 4)
    train(tmp_path / "stopped", 3)
    assert sorted(path.name for path in (tmp_path / "stopped" / "checkpoints").iterdir()) == ["checkpoint-2"]
    found = train(tmp_path / "stopped", 4)
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


def test_a_checkpoint_of_other_weights_is_refused(tmp_path: Path) -> None:
    """As after a change of a plugin's objective."""
    settings = TrainerSettings(steps=1, learning_rate=0.1)
    steps = Steps(lambda step: {"inputs": torch.ones(2, 3)}, 1)
    engine.train(TiedObjective(nn.Linear(3, 3)), steps, settings, seed=0, folder=tmp_path)
    with pytest.raises(UserError, match=r"not those of the training \(model.bias\), .*; delete .*checkpoints and run"):
        engine.train(TiedObjective(nn.Linear(3, 3, bias=False)), steps, settings, seed=0, folder=tmp_path)


# What could not be loaded again


@pytest.mark.parametrize("case", ["undeclared", "turned off", "same memory"])
def test_tied_weights_that_would_come_apart_are_refused_before_the_training(
    case: str, tied: TiedModel, task: Task, processor: RegionProcessor, tmp_path: Path
) -> None:
    if case == "undeclared":
        tied._tied_weights_keys = None
    elif case == "turned off":
        tied.config.tie_word_embeddings = False
    else:
        tied.output.weight = nn.Parameter(tied.words.weight.data)
    said = "in the same memory" if case == "same memory" else "_tied_weights_keys = {'output.weight': 'words.weight'}"
    with pytest.raises(UserError, match="words.weight and output.weight.*") as raised:
        XVLMAML(XVLMAMLSettings(**SETTINGS)).fit(tied, processor, task, auxiliary_languages=("tr",), folder=tmp_path)
    assert said in str(raised.value)
    assert not list(tmp_path.iterdir())
