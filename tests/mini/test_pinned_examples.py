"""The benchmark's examples and the fingerprints of its data: those of the runs and tables that exist."""

from __future__ import annotations

import hashlib
import json

import pytest

from iglue_plugins.mini.tasks import MiniCaptions, MiniMaRVL, MiniTask, MiniXFlickrCO, MiniXGQA, MiniXVNLI

CLASSES = (MiniXVNLI, MiniXGQA, MiniMaRVL, MiniXFlickrCO, MiniCaptions)
BENCHMARK = ("train", "auxiliary", "dev", "test")
FINGERPRINTS = {  # by the number of examples that share scenes
    1: "60adeae33c701e49caaa3795f9a018d2616b1485a49918a14a0528175b149738",
    3: "feb480efdd5817554e719999b97a8795eba94afc5014bed3693d886573394246",
}
OTHER_SIZES = {
    (MiniXFlickrCO, 1): "c58c51d7fe1be953d4c17271ef95a1d5f17666e89268409158b55e5c6cba2d84",
    (MiniXFlickrCO, 3): "ea1db32474eca938a8e9bd8643a8fd272f51e423573ceab7b9b052c622c8fbf7",
    (MiniCaptions, 1): "175ec0d98931291f3280f88e481e9f96d5bf50a3a2ceeab981528c6ce2c706dd",
    (MiniCaptions, 3): "64e55739f045e3f87a2bfb2a23148b41782124f9d26e1eca5c96d35b0afc1ef2",
}
EXAMPLES = {
    MiniXVNLI: "2bd7c29d14b987e8",
    MiniXGQA: "fc0088a67fdeccf3",
    MiniMaRVL: "79c1be5f2a9443b9",
    MiniXFlickrCO: "ce064cf2b89dc000",
    MiniCaptions: "40f9f82019636b41",
}


@pytest.mark.parametrize("shared_scenes", FINGERPRINTS)
@pytest.mark.parametrize("cls", CLASSES)
def test_the_fingerprint_of_the_data_is_that_of_existing_runs(cls: type[MiniTask], shared_scenes: int) -> None:
    task = cls(cls.Settings(shared_scenes=shared_scenes))
    expected = OTHER_SIZES.get((cls, shared_scenes), FINGERPRINTS[shared_scenes])
    for split in set(BENCHMARK) & set(cls.splits):
        assert task.fingerprint(split, "en") == expected


@pytest.mark.parametrize("cls", CLASSES)
def test_all_examples_of_the_benchmark_are_what_they_were(cls: type[MiniTask]) -> None:
    digest, task = hashlib.sha256(), cls()
    for split in BENCHMARK:
        if split in cls.splits:
            for example in task.examples(split):
                facts = [example.scenes, example.text("en"), example.text("zh"), example.label]
                digest.update(json.dumps(facts, default=repr, ensure_ascii=False).encode())
    assert digest.hexdigest()[:16] == EXAMPLES[cls]
