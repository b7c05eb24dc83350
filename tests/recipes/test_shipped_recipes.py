"""The shipped recipes, all of which resolve; one for each trainer is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file
from transformers import AutoTokenizer, PreTrainedModel

from iglue_plugins import registry
from iglue_plugins.mini.tasks import MiniCaptions, MiniXVNLI
from iglue_plugins.mini.world import FEATURE_SIZE
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import plugins, runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.trainers.base import Trainer

ROOT = Path(__file__).parents[2]
FOUND = (path.relative_to(ROOT) for path in (ROOT / "recipes").rglob("*.yaml") if path.parent.name != "iglue")
RECIPES = sorted(path.as_posix() for path in FOUND if "real_photographs" not in path.parts)  # they have their own test
MINI = ("xvnli", "xgqa", "marvl", "xflickrco")
COMPARED = {
    "finetune.yaml",
    "auxiliary_finetune.yaml",
    "contrastive.yaml",
    "finetune_contrastive.yaml",
    "finetune_longer.yaml",
    "x_maml.yaml",
    "xvl_maml.yaml",
    "xvl_maml_from_contrastive.yaml",
    "xvl_maml_inner_lr_0.yaml",
    "xvl_maml_unsupervised.yaml",
}


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sets the current folder to the root of the repository, to which paths in recipes are relative, and IGLUE_HOME."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("IGLUE_HOME", str(tmp_path))
    for task in MINI:
        (tmp_path / "checkpoints" / f"xuniter_{task}").mkdir(parents=True)


@pytest.mark.parametrize("path", RECIPES)
def test_a_recipe_resolves(path: str) -> None:
    recipe = load_recipe(path)
    assert recipe.name in (Path(path).stem, "xvl_maml_published_english")
    for section in ("task", "model", "trainer"):
        cls, settings = recipe.plugin(section)
        assert settings.model_dump(mode="json") == getattr(recipe, section).settings
    assert (ROOT / path).read_text().startswith("# "), "the first line says what the recipe is for"


@pytest.mark.parametrize("path", RECIPES)
def test_a_recipes_settings_suit_its_task(path: str) -> None:
    recipe = load_recipe(path)
    task, trainer = plugins.make_task(recipe), plugins.make_trainer(recipe)
    if plugins.image_kind(recipe) == "pixels":
        model: PreTrainedModel = plugins.load_model(load_recipe("recipes/mini/pretrain_siglip.yaml"), None)[0]
    else:
        config = XUniterConfig(**load_recipe("recipes/mini/pretrain.yaml").model.settings["config"])
        model = XUniterForVisionAndLanguage(config)
    if not isinstance(trainer, Trainer):  # it adapts
        trainer.check(task, recipe.evaluation.languages[1])
        return
    assert sum(parameter.numel() for parameter in trainer.objective(model, task).parameters()) > 0


@pytest.mark.parametrize("task", MINI)
def test_each_task_has_the_baseline_the_method_its_ablations_and_its_controls(task: str) -> None:
    folder = ROOT / "recipes/mini" / task
    assert {path.name for path in folder.glob("*.yaml")} == COMPARED
    assert {load_recipe(path).task.name for path in folder.glob("*.yaml")} == {f"mini/{task}"}


@pytest.mark.parametrize("task", MINI)
def test_xvl_maml_changes_nothing_but_the_trainer(task: str) -> None:
    folder = ROOT / "recipes/mini" / task
    assert yaml.safe_load((folder / "xvl_maml.yaml").read_text()) == {"extends": "finetune.yaml", "trainer": "xvl_maml"}
    finetune, xvl_maml = (load_recipe(folder / f"{name}.yaml").to_dict() for name in ("finetune", "xvl_maml"))
    changed = {key for key in finetune if finetune[key] != xvl_maml[key]}
    assert changed == {"name", "trainer", "start_from"}
    assert (finetune["trainer"]["name"], finetune["start_from"]) == ("finetune", "model")
    assert (xvl_maml["trainer"]["name"], xvl_maml["start_from"]) == ("xvl_maml", "finetune")


@pytest.mark.parametrize("task", MINI)
def test_controls_see_as_many_labels_a_step_as_the_method(task: str) -> None:
    def steps_and_labels(name: str) -> tuple[int, int]:
        recipe = load_recipe(ROOT / "recipes/mini" / task / f"{name}.yaml")
        trainer = plugins.make_trainer(recipe)
        return trainer.settings.steps, trainer.labels_per_step(plugins.make_task(recipe), languages=1)

    expected = steps_and_labels("xvl_maml")
    for control in ("auxiliary_finetune", "contrastive", "finetune_longer", "x_maml", "xvl_maml_inner_lr_0"):
        assert steps_and_labels(control) == expected, control


@pytest.mark.parametrize(
    ("row", "changed"),
    [
        ("first_order", {"algorithm"}),
        ("heads_only", {"adapt"}),
        ("joint_pass", {"joint_pass"}),
        ("learned_rates", {"learned_rates"}),
        ("no_inner_step", {"inner_lr"}),
        ("three_inner_steps", {"inner_steps"}),
        ("unsupervised", {"supervised", "outer_loss"}),
        ("maml", {"inner_loss", "outer_loss", "support_size", "query_size"}),
    ],
)
def test_a_row_of_the_ablation_changes_one_thing(row: str, changed: set[str]) -> None:
    method, varied = (load_recipe(f"recipes/ablations/xvl_maml/{name}.yaml").to_dict() for name in ("xvl_maml", row))
    assert {key for key in method if method[key] != varied[key]} == {"name", "trainer"}
    assert {key for key in method["trainer"] if method["trainer"][key] != varied["trainer"][key]} == changed


@pytest.mark.parametrize("suffix", ["one_step", "ten_small_steps", "few_shot"])
def test_adapted_rows_start_from_the_row_of_their_name(suffix: str) -> None:
    folder = ROOT / "recipes/ablations/test_time"
    adapted = list(folder.glob(f"*_{suffix}.yaml"))
    assert len(adapted) == (3 if suffix == "few_shot" else 6)
    for path in adapted:
        recipe, before = load_recipe(path), load_recipe(folder / path.name.replace(f"_{suffix}", ""))
        assert recipe.previous() == before
        expected = load_recipe(folder / f"finetune_{suffix}.yaml")
        assert recipe.trainer == expected.trainer


def test_pre_training_fits_the_tokenizer_and_the_features() -> None:
    recipe = load_recipe("recipes/mini/pretrain.yaml")
    config = recipe.model.settings["config"]
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.settings["tokenizer"])
    assert (config["vocab_size"], config["region_feature_size"]) == (len(tokenizer), FEATURE_SIZE)
    assert config["max_position_embeddings"] > tokenizer.pad_token_id + MiniCaptions.max_text_length
    shares = recipe.trainer.settings["language_shares"]
    assert set(shares) == set(MiniCaptions.languages)
    assert sum(shares.values()) == pytest.approx(1, abs=0.05)
    assert max(shares, key=shares.get) == "en"


# Runs of a few steps


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes splits small and steps few, so that a recipe and its baseline run in a moment."""
    monkeypatch.setattr(MiniXVNLI, "sizes", dict.fromkeys(MiniXVNLI.sizes, 40))
    monkeypatch.setattr(MiniCaptions, "sizes", {"train": 60, "dev": 8})
    batches = {"steps": 2, "batch_size": 8, "learning_rate": 1e-3}
    episodes = {"steps": 3, "support_size": 4, "query_size": 4, "learning_rate": 1e-3}
    monkeypatch.setattr(
        registry.tasks.get("mini/xvnli"),
        "trainer_defaults",
        {"finetune": batches, "auxiliary_finetune": batches, "xvl_maml": episodes},
    )
    plugins._make_task.cache_clear()
    yield
    plugins._make_task.cache_clear()


@pytest.fixture
def run(tiny: None, tmp_path: Path, tiny_checkpoint: Path) -> Callable[..., Run]:
    """Runs mini/xvnli's recipe with a tiny model."""

    def run(name: str) -> Run:
        return runner.run(
            load_recipe(
                f"recipes/mini/xvnli/{name}.yaml",
                [
                    f"runs={tmp_path / 'runs'}",
                    f"model={{name: xuniter, checkpoint: '{tiny_checkpoint}'}}",
                    "evaluation.languages=[en, tr]",
                ],
            )
        )

    return run


def changed_weights(run: Run, before: Path) -> set[str]:
    """Names the top-level modules whose weights differ from those of another checkpoint."""
    old, new = (load_file(folder / "model.safetensors") for folder in (before, run.model_dir))
    return {name.partition(".")[0] for name in old.keys() & new.keys() if not old[name].equal(new[name])}


def test_finetune_runs(run: Callable[..., Run], tiny_checkpoint: Path) -> None:
    finished = run("finetune")
    record = finished.record()
    assert (record["steps"], record["trainer"], record["training_languages"]) == (2, "finetune", [])
    assert set(record["scores"]["test"]) == {"en", "tr"}
    assert record["scores"]["test"]["tr"]["examples"] == 40
    assert changed_weights(finished, tiny_checkpoint) == {"encoder"}, "no contrastive loss, so no new projections"


@pytest.mark.parametrize(
    ("name", "steps", "changed"),
    [
        ("auxiliary_finetune", 2, {"encoder", "head"}),
        ("xvl_maml", 3, {"encoder", "head", "contrastive"}),
    ],
)
def test_a_second_stage_runs_from_the_english_baseline(
    run: Callable[..., Run], name: str, steps: int, changed: set[str]
) -> None:
    finished, baseline = run(name), run("finetune")
    record = finished.record()
    assert (record["name"], record["trainer"], record["steps"]) == (name, name, steps)
    assert record["training_languages"] == ["tr"]
    assert record["start_from"]["fingerprint"] == baseline.record()["fingerprint"]
    assert len(finished.read_predictions("test", "tr")) == 40
    assert changed_weights(finished, baseline.model_dir) == changed


def test_pretrain_runs(tiny: None, tmp_path: Path) -> None:
    overrides = [
        "trainer.steps=2",
        "trainer.batch_size=8",
        "trainer.single_region_steps=1",
        f"runs={tmp_path}",
        "evaluation.languages=[sw]",
        "model.config.hidden_size=16",
        "model.config.intermediate_size=16",
        "model.config.pooler_size=16",
        "model.config.num_attention_heads=2",
    ]
    finished = runner.run(load_recipe("recipes/mini/pretrain.yaml", overrides))
    record = finished.record()
    assert (record["trainer"], record["steps"], record["start_from"]) == ("pretrain", 2, None)
    assert record["scores"]["dev"]["sw"]["examples"] == 8
    assert all(math.isfinite(weight.sum()) for weight in load_file(finished.model_dir / "model.safetensors").values())
    reloaded = registry.models.load("xuniter")
    assert reloaded(reloaded.Settings(checkpoint=str(finished.model_dir))).load()[0].config.hidden_size == 16


# IGLUE at full scale

IGLUE_RECIPES = {"auxiliary_finetune", "few_shot", "few_shot_xvl_maml", "finetune", "xvl_maml", "xvl_maml_inner_lr_0"}


@pytest.mark.parametrize("model", ["xuniter", "uc2"])
@pytest.mark.parametrize("task", MINI)
def test_each_full_scale_task_and_model_has_the_same_recipes(task: str, model: str) -> None:
    folder = ROOT / "recipes/iglue" / task / model
    recipes = {path.stem: load_recipe(path) for path in folder.iterdir()}
    assert recipes.keys() == IGLUE_RECIPES
    assert {(recipe.task.name, recipe.model.name) for recipe in recipes.values()} == {(task, model)}
    for name in ("xvl_maml", "xvl_maml_inner_lr_0", "auxiliary_finetune"):
        assert (recipes[name].start_from, recipes[name].trains_on) == ("finetune", "auxiliary")
    for name, before in (("few_shot", "finetune"), ("few_shot_xvl_maml", "xvl_maml")):
        assert recipes[name].previous() == recipes[before].model_copy(
            update={"evaluation": recipes[name].previous().evaluation}
        )


@pytest.mark.parametrize("task", MINI)
def test_each_full_scale_task_has_its_recipes_from_pixels(task: str) -> None:
    folder = ROOT / "recipes/iglue" / task / "siglip2"
    finetune, xvl_maml = (load_recipe(folder / f"{name}.yaml") for name in ("finetune", "xvl_maml"))
    assert (finetune.task.name, finetune.model.name, plugins.image_kind(finetune)) == (task, "dual_encoder", "pixels")
    assert xvl_maml.previous() == finetune
    assert Path(finetune.task.settings["pictures"]).name == "pictures"


@pytest.mark.parametrize("model", ["xuniter", "uc2"])
@pytest.mark.parametrize(
    ("task", "learning_rate", "batch_size", "epochs", "few_shot_batch"),
    [
        ("xvnli", 2e-5, 128, 10, 16),
        ("xgqa", 4e-5, 256, 5, 16),
        ("marvl", 1e-5, 64, 20, 4),
        ("xflickrco", 2e-5, 64, 10, 32),
    ],
)
def test_the_published_settings(
    task: str, model: str, learning_rate: float, batch_size: int, epochs: int, few_shot_batch: int
) -> None:
    folder = ROOT / "recipes/iglue" / task / model
    finetune, few_shot = (load_recipe(folder / f"{name}.yaml").trainer.settings for name in ("finetune", "few_shot"))
    assert (finetune["learning_rate"], finetune["batch_size"], finetune["epochs"]) == (
        learning_rate,
        batch_size,
        epochs,
    )
    assert (finetune["schedule_epochs"], finetune["validate_every"], finetune["warmup"]) == (20, "epoch", 0.1)
    assert (few_shot["batch_size"], few_shot["epochs"], few_shot["learning_rates"]) == (
        few_shot_batch,
        20,
        [1e-4, 5e-5, 1e-5],
    )
    loss = load_recipe(folder / "finetune.yaml").task.settings.get("loss")
    assert loss == ({"xuniter": "cross_entropy", "uc2": "triplet"}[model] if task == "xflickrco" else None)
