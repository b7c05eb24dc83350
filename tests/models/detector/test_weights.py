"""Weights in the forms in which others publish them: where they are, their reading, and what does not fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import huggingface_hub
import pytest
import torch
from malicious_pickles import Reduced
from safetensors.torch import save_file
from tiny_detectors import tiny_weights, write_tiny

from iglue_plugins.models.detector.anchors import cell_anchors
from iglue_plugins.models.detector.weights import ANCHORS, ATTRIBUTE_PARTS, find_weights, load_network
from iglue_plugins.utils.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "roi_heads.box_predictor.cls_score.weight"


@pytest.fixture
def expected(tmp_path):
    return load(write_tiny(tmp_path / "expected")).state_dict()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the hub, from which the hub's client reads without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_to_cache(cache: Path, repository: str) -> Path:
    home = cache / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT)
    return write_tiny(home / "snapshots" / COMMIT, name="pytorch_model.bin")


def load(source):
    return load_network(find_weights(str(source)))


def assert_same(network, expected):
    found = network.state_dict()
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


@pytest.mark.parametrize("name", ["pytorch_model.bin", "any.pth", "faster_rcnn_from_caffe_attr.pkl", "any.safetensors"])
def test_every_form_of_the_weights_makes_the_same_network(name, tmp_path, expected):
    assert_same(load(write_tiny(tmp_path / "other", name=name)), expected)


def test_a_file_of_the_old_torch_save(tmp_path, expected):
    folder = write_tiny(tmp_path / "old")
    (folder / "model.safetensors").unlink()
    torch.save(tiny_weights(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert_same(load(folder), expected)


def test_a_pickle_of_an_old_protocol(tmp_path, expected):
    folder = write_tiny(tmp_path / "old")
    (folder / "model.safetensors").unlink()
    arrays = {name: tensor.numpy() for name, tensor in tiny_weights().items()}
    (folder / "weights.pkl").write_bytes(pickle.dumps({"model": arrays}, protocol=2))
    assert_same(load(folder), expected)


def test_weights_are_in_float32_and_evaluation_mode_whatever_the_file_has(tmp_path, expected):
    half = {name: value.half() if value.is_floating_point() else value for name, value in tiny_weights().items()}
    network = load(write_tiny(tmp_path / "half", half))
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
    assert not network.training


def test_anchors_of_the_weights_replace_computed_ones(tmp_path):
    weights = tiny_weights()
    weights[ANCHORS] = cell_anchors((10.0, 20.0, 30.0, 40.0), (0.5, 1.0, 2.0))
    assert torch.equal(load(write_tiny(tmp_path / "others", weights)).cell_anchors, weights[ANCHORS])
    del weights[ANCHORS]
    computed = cell_anchors((24.0, 48.0, 96.0, 192.0), (0.5, 1.0, 2.0))
    assert torch.equal(load(write_tiny(tmp_path / "none", weights)).cell_anchors, computed)


def test_weights_without_attributes(tmp_path):
    weights = {n: value for n, value in tiny_weights().items() if not any(part in n for part in ATTRIBUTE_PARTS)}
    assert len(tiny_weights()) - len(weights) == 5
    assert load(write_tiny(tmp_path, weights)).config.attributes == 0


def test_a_part_of_the_attributes_is_an_error(tmp_path):
    weights = tiny_weights()
    del weights["roi_heads.box_predictor.fc_attr.bias"]
    with pytest.raises(UserError, match="it lacks roi_heads.box_predictor.fc_attr.bias; "):
        load(write_tiny(tmp_path, weights))


def test_what_lacks_and_what_does_not_fit_is_named_and_counted(tmp_path):
    weights = {name: value for name, value in tiny_weights().items() if "res4.3" not in name}
    weights[NAME] = torch.zeros(1601, 128)
    weights["backbone.res4.6.conv1.weight"] = torch.zeros(1)
    weights["pixel_mean"] = torch.zeros(3, 1, 1)  # of another program, which does no harm
    with pytest.raises(UserError) as raised:
        load(write_tiny(tmp_path, weights))
    message = str(raised.value)
    assert "it lacks backbone.res4.3.conv1.weight" in message and "and 10 more" in message
    assert f"of another shape are {NAME} of (1601, 128) in the place of (25, 128)" in message
    assert "of another network are backbone.res4.6.conv1.weight" in message
    assert "pixel_mean" not in message


def test_a_file_alone_is_of_the_published_sizes(tmp_path):
    folder = write_tiny(tmp_path)
    with pytest.raises(UserError, match="do not fit the network of the published sizes .*, which has 536: it lacks"):
        load(folder / "model.safetensors")


def test_the_revision_is_the_hash_of_what_is_read(tmp_path):
    folder = write_tiny(tmp_path / "tiny")
    first = find_weights(str(folder))
    assert first.name == "tiny" and len(first.revision) == 64
    (folder / "README.md").write_text("of no matter")
    assert find_weights(str(folder)) == first
    assert find_weights(str(folder / "model.safetensors")).revision != first.revision
    (folder / "config.yaml").write_text("{}")
    assert find_weights(str(folder)).revision != first.revision
    with pytest.raises(UserError, match="the revision 'main' is of a hub id, but .*tiny is a file or folder"):
        find_weights(str(folder), "main")


def test_folders_in_which_the_weights_are_not_clear(tmp_path):
    with pytest.raises(UserError, match="holds no weights; give the folder with pytorch_model.bin"):
        find_weights(str(tmp_path))
    (tmp_path / "a.pkl").touch()
    (tmp_path / "b.pkl").touch()
    with pytest.raises(UserError, match="holds a.pkl and b.pkl; name one of them"):
        find_weights(str(tmp_path))


@pytest.mark.parametrize("source", ["./absent", "/absent/weights.pkl", "absent.pkl"])
def test_what_does_not_exist_is_not_looked_for_on_the_hub(source):
    with pytest.raises(UserError, match=f"--weights: {source} does not exist; give the folder"):
        find_weights(source)


def test_weights_of_the_hub_have_its_commit(cache, expected):
    write_to_cache(cache, "someone/detector")
    file = find_weights("someone/detector")
    assert (file.name, file.revision) == ("someone/detector", COMMIT)
    assert_same(load_network(file), expected)


def test_weights_of_the_hub_without_a_configuration_are_of_the_published_sizes(cache):
    (write_to_cache(cache, "someone/detector") / "config.yaml").unlink()
    assert find_weights("someone/detector").config is None


@pytest.mark.parametrize("source", ["no/detector", "not a name"])
def test_a_hub_id_without_weights(cache, source):
    with pytest.raises(UserError, match=f"--weights: no weights can be loaded from '{source}' .*docs/detector.md"):
        find_weights(source)


@pytest.mark.parametrize("name", ["weights.pkl", "weights.bin"])
def test_nothing_that_a_file_asks_for_is_run(name, tmp_path):
    marker = tmp_path / "marker"
    content = pickle.dumps({"model": {NAME: Reduced(Path.touch, (marker,))}}, 2)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name) as raised:
        load(tmp_path / name)
    assert not marker.exists() and "weights_only" not in str(raised.value)


@pytest.mark.parametrize("name", ["weights.pkl", "weights.bin", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00X\x05"])
def test_a_damaged_file_is_named(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        load(tmp_path / name)


def test_files_of_something_else(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UserError, match="photo.jpg: is no file of weights"):
        load(tmp_path / "photo.jpg")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(UserError, match="list.pkl: holds 'list', expected weights by their names"):
        load(tmp_path / "list.pkl")
    save_file({NAME: torch.zeros(2, dtype=torch.int64)}, tmp_path / "whole.safetensors")
    with pytest.raises(UserError, match="whole.safetensors: found .* under .*, expected weights"):
        load(tmp_path / "whole.safetensors")


def test_a_hub_id_with_other_files(cache):
    (write_to_cache(cache, "someone/detector") / "pytorch_model.bin").rename(cache / "elsewhere.bin")
    with pytest.raises(UserError, match="'someone/detector' has no file model.safetensors or pytorch_model.bin; give"):
        find_weights("someone/detector")
