"""docs/plugins.md is a package: its blocks are installed and run as they are printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file
from transformers import AutoTokenizer

import iglue_plugins
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage

PAGE = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'^```\w+ title="(.*?)"\n(.*?)^```$', PAGE, re.M | re.S))
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which Python finds the page's package, installed."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in {**FILES, "my_package/__init__.py": ""}.items():
        path = source / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (source / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools"]\n')
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, source], check=True)
    ours = Path(iglue_plugins.__file__).parents[1]
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ours)]), "OMP_NUM_THREADS": "1"}


def run_recipe(folder: Path, environment: dict[str, str], *overrides: str) -> tuple[Path, dict[str, Any]]:
    """Run the page's command; the folder of the last run, and its record."""
    for name in ("recipe.yaml", "english.yaml"):
        (folder / name).write_text(FILES[name])
    (command,) = re.findall(r"^    iglue (run .*)$", PAGE, re.M)
    ended = subprocess.run(
        [sys.executable, "-m", "iglue_plugins", *command.split(), *overrides],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    run = folder / ended.stdout.splitlines()[-1]
    return run, json.loads((run / "record.json").read_text())


def accuracies(record: dict[str, Any]) -> dict[str, float]:
    return {language: scores["accuracy"] for language, scores in record["scores"]["test"].items()}


def test_the_recipe(environment: dict[str, str], tmp_path: Path) -> None:
    run, record = run_recipe(tmp_path, environment)
    assert (record["trainer"], record["training_languages"]) == ("xvl_maml", ["de"])
    records = [json.loads(path.read_text()) for path in run.parent.glob("*/record.json")]
    assert sorted(found["trainer"] for found in records) == ["label_smoothing", "xvl_maml"]
    assert accuracies(record).keys() == {"en", "de", "sw"}
    assert accuracies(record)["en"] > 70  # half of the texts name the flag


def test_the_processor_from_scratch_with_an_adapter_and_the_sigmoid_loss(
    environment: dict[str, str], tmp_path: Path
) -> None:
    overrides = ["model.name=two_towers_of_bytes", "model.adapter.type=lora", "trainer.contrastive=sigmoid"]
    run, record = run_recipe(tmp_path, environment, *overrides)
    assert accuracies(record).keys() == {"en", "de", "sw"}
    names = {name.removeprefix("base_model.model.") for name in load_file(run / "model" / "adapter_model.safetensors")}
    assert {"head.weight", "log_scale", "bias", "projection.lora_A.weight"} <= names
    assert "bytes.weight" not in names


def test_the_specifications_import_no_torch(environment: dict[str, str]) -> None:
    code = """
import sys
from iglue_plugins import registry
assert registry.tasks.get("flags").Settings().examples == 200
assert registry.trainers.get("label_smoothing").Settings().smoothing == 0.1
assert registry.models.get("two_towers_of_bytes").reads == "pixels"
print({"torch", "datasets", "transformers"} & sys.modules.keys())
"""
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.stdout == "set()\n", ended.stderr


def test_another_harness(tiny_checkpoint: Path, tmp_path: Path) -> None:
    host = SimpleNamespace(tasks={}, trainers={})
    host.register_task = lambda name: lambda cls: host.tasks.setdefault(name, cls)
    host.register_trainer = lambda name: lambda cls: host.trainers.setdefault(name, cls)
    names: dict[str, Any] = {
        "host": host,
        "model": XUniterForVisionAndLanguage.from_pretrained(tiny_checkpoint),
        "processor": RegionProcessor(AutoTokenizer.from_pretrained(tiny_checkpoint)),
        "folder": tmp_path,
    }
    for block in BLOCKS:
        exec(block, names)
    assert len(names["predictions"]) == names["task"].sizes["test"]
    assert names["scores"].keys() == {"accuracy"}
