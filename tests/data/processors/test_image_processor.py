"""Image processors from folders, with no torchvision and with one that does not fit PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessorPil
from transformers.utils import logging

from iglue_plugins.data.processors.image_processor import load_image_processor
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    return tmp_path


def test_a_saved_processor(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    verbosity = logging.get_verbosity()
    logging.set_verbosity_warning()
    try:
        processor = load_image_processor(str(saved))
        assert logging.get_verbosity() == logging.WARNING
    finally:
        logging.set_verbosity(verbosity)
    assert capfd.readouterr() == ("", "")
    values = processor(images=Image.new("RGB", (50, 40)), return_tensors="np")["pixel_values"]
    assert np.asarray(values).shape == (1, 3, 32, 32)


def test_a_folder_without_a_processor(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^no image processor can be loaded from '{tmp_path}' .*; give a folder"):
        load_image_processor(str(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(UserError, match="no image processor can be loaded"):
        load_image_processor(str(tmp_path))


@pytest.mark.parametrize("source", ["./none", "/none", "a/b/c"])
def test_a_path_is_not_taken_for_a_hub_id(source: str) -> None:
    with pytest.raises(UserError, match=f"^there is no folder '{source}'"):
        load_image_processor(source)


def test_code_of_a_checkpoint_is_not_run(saved: Path) -> None:
    (saved / "own.py").write_text("raise SystemExit('it ran')")
    (saved / "preprocessor_config.json").write_text('{"auto_map": {"AutoImageProcessor": "own.Own"}}')
    with pytest.raises(UserError, match="no image processor can be loaded"):
        load_image_processor(str(saved))


LOAD = """
import sys
from iglue_plugins.utils.errors import exit_on_user_error

with exit_on_user_error():
    from iglue_plugins.data.processors.image_processor import load_image_processor

    load_image_processor(sys.argv[1])
"""


@pytest.mark.parametrize(
    "failure",
    ["RuntimeError('operator torchvision::nms does not exist')", "OSError('_C.so: undefined symbol: _ZN3c106detail')"],
)
def test_a_torchvision_that_does_not_fit(failure: str, saved: Path, tmp_path: Path) -> None:
    """As it fails when PyTorch was updated alone."""
    site = tmp_path / "site"
    (site / "torchvision").mkdir(parents=True)
    (site / "torchvision" / "__init__.py").write_text(f"raise {failure}\n")
    metadata = site / "torchvision-0.1.2.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1.2\n")
    paths = os.pathsep.join([str(site), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-c", LOAD, saved], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    assert ended.stderr.startswith("iglue: torchvision 0.1.2 does not work with torch 2")
    assert "uninstall torchvision" in ended.stderr
