"""Predictors of pairs of languages, on texts of which the values are plain."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from iglue_plugins.advice import typology
from iglue_plugins.advice.features import make_features
from iglue_plugins.advice.neighbors import neighbor_shares
from iglue_plugins.advice.predictors import fertility, fertility_gap, letters, log_size, overlap, scripts, shared_script
from iglue_plugins.advice.texts import LanguageTexts
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.utils.errors import UserError


def test_overlap_is_of_distinct_elements() -> None:
    assert overlap(frozenset("abcd"), frozenset("cdef")) == 0.5
    assert overlap(frozenset(), frozenset()) == 0


def test_letters_are_counted_without_spaces_digits_and_capitals() -> None:
    assert letters(["Ab 1!", "a"]) == {"a": 2, "b": 1}


def test_scripts_are_shares_of_letters() -> None:
    japanese, chinese = scripts(["日本の"]), scripts(["中国"])
    assert japanese == {"CJK": pytest.approx(2 / 3), "HIRAGANA": pytest.approx(1 / 3)}
    assert shared_script(japanese, chinese) == pytest.approx(2 / 3)
    assert shared_script(scripts(["Ärger"]), scripts(["да"])) == 0
    assert scripts(["12"]) == {}


def test_fertility_is_tokens_a_character() -> None:
    assert fertility(["ab cd", "e"], [[1, 2], [3]]) == pytest.approx(3 / 5)
    assert math.isnan(fertility([" "], [[1]]))
    assert fertility_gap(2.0, 1.0) == fertility_gap(1.0, 2.0) == pytest.approx(math.log(2))
    assert math.isnan(fertility_gap(0.0, 1.0))


def test_log_size_of_no_examples_is_unknown() -> None:
    assert log_size(1) == 0
    assert math.isnan(log_size(None)) and math.isnan(log_size(0))


def test_neighbors_are_counted_by_language() -> None:
    target = np.array([[1, 0], [1, 0]], dtype=np.float32)
    near, far = np.repeat([[1.0, 0.0]], 5, 0), np.repeat([[0.0, 1.0]], 9, 0)
    shares = neighbor_shares(target, {"near": near.astype(np.float32), "far": far.astype(np.float32)})
    assert shares == {"near": 1.0, "far": 0.0}


def test_features_that_tell_no_language_from_another_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typology, "is_installed", lambda: False)
    examples = ExampleSet("auxiliary", "x")
    texts = {
        code: LanguageTexts(tuple(text.split()), examples, size, None if size else "empty")
        for code, text, size in (("de", "ja nein", 10), ("fr", "oui non", 10), ("ru", "да нет", 10))
    }
    found = make_features(texts, "no tokenizer here", None, 80)
    assert [predictor.name for predictor in found.predictors] == ["shared_characters", "shared_script"]
    assert found.values[1].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert found.left_out["size"] == "it is the same for all auxiliary languages"
    assert found.left_out["fertility"] == "no tokenizer here"
    assert "pip install" in found.left_out["syntactic"]
    assert "--model" in found.left_out["neighbors"]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in the form of urielplus, of three languages: deu and fra share one of two syntactic features."""
    folder = tmp_path / "urielplus" / typology.DATABASE
    folder.mkdir(parents=True)
    (tmp_path / "urielplus" / "__init__.py").touch()
    (tmp_path / "langcodes.py").write_text(
        "class Language:\n    get = classmethod(lambda cls, code: cls)\n    def to_alpha3(): raise LookupError\n"
    )
    data = np.full((3, 4, 2), -1.0, dtype=np.float32)
    data[0, :, 0], data[1, :, 1] = (1, 0, 1, 1), (1, 1, 0, 1)  # each known by another source
    for file in ("features", "family_features", "geocoord_features"):
        np.savez(folder / f"{file}.npz", langs=["deu", "fra", "tam"], feats=["S_A", "S_B", "P_A", "INV_A"], data=data)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_distances_are_angles_over_features_that_both_languages_have(database: Path) -> None:
    assert typology.is_installed()
    found = typology.distances(["deu", "fra", "tam", "xx"])
    assert found["syntactic"][0, 1] == pytest.approx(0.5)  # (1, 0) and (1, 1): 45 degrees
    assert found["inventory"][0, 1] == pytest.approx(0, abs=1e-6)
    assert np.isnan(found["phonological"][0, 1])  # (1) and (0) have no angle
    assert found["genetic"][0, 1] == pytest.approx(2 / np.pi * math.acos(2 / 3))
    assert np.isnan(found["syntactic"][2:]).all()


def test_damaged_typological_data_are_a_sentence(database: Path) -> None:
    (database / "features.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"features\.npz: cannot be read .*; install urielplus 1\.3 again"):
        typology.distances(["deu"])


def test_distances_are_those_of_urielplus() -> None:
    pytest.importorskip("langcodes")
    urielplus = pytest.importorskip("urielplus.urielplus")
    found, theirs = typology.distances(["de", "tr"]), urielplus.URIELPlus()
    for name in ("syntactic", "phonological", "inventory", "geographic"):
        assert found[name][0, 1] == pytest.approx(theirs.new_distance(name, ["deu", "tur"]), abs=1e-4)
