"""The files of a comparison."""

import csv
import json
from dataclasses import replace

import pytest

from iglue_plugins.reporting import exports
from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.details import details
from iglue_plugins.reporting.notes import notes
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def comparison(two_rows):
    return build_comparison([("fine_tune & co | 100%", two_rows[0][1]), two_rows[1]])


def test_four_files_and_nothing_else_are_written(comparison, tmp_path):
    folder = tmp_path / "tables" / "mini"
    paths = exports.write([comparison], folder)
    assert [path.name for path in paths] == [f"comparison.{suffix}" for suffix in ("csv", "json", "md", "tex")]
    assert sorted(folder.iterdir()) == sorted(paths)


def test_an_interrupted_write_leaves_the_old_file(comparison, tmp_path, monkeypatch):
    (path,) = [path for path in exports.write([comparison], tmp_path) if path.suffix == ".csv"]
    before = path.read_text()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        exports.write([replace(comparison, rows=comparison.rows[:1])], tmp_path)
    assert path.read_text() == before
    assert not list(tmp_path.glob(".comparison*"))


def test_a_folder_that_is_a_file_is_named(comparison, tmp_path):
    (tmp_path / "tables").touch()
    with pytest.raises(UserError, match=f"^{tmp_path}/tables/comparison.csv: cannot be written"):
        exports.write([comparison], tmp_path / "tables")


def test_csv_has_an_unrounded_row_per_trainer(comparison, tmp_path):
    exports.write([comparison], tmp_path)
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as file:
        finetune, xvl_maml = csv.DictReader(file)
    assert list(finetune) == [
        *("label", "trainer", "task", "split", "metric", "source", "auxiliary", "seeds"),
        *("training_languages", "labels_per_step", "steps"),
        *("en", "en_std", "tr", "tr_std", "ar", "ar_std", "ru", "ru_std", "mean", "mean_std"),
        *("difference", "difference_low", "difference_high", "corrected_low", "corrected_high"),
        *("equivalence_low", "equivalence_high", "standard_error", "detectable", "verdict", "margin"),
        *("published_by", "lmms_eval"),
    ]
    assert finetune["label"] == "fine_tune & co | 100%"
    assert (finetune["mean"], finetune["difference"], finetune["difference_low"]) == ("33.75", "", "")
    assert finetune["en_std"] == "17.6776695297", "12 digits"
    assert (xvl_maml["trainer"], xvl_maml["auxiliary"], xvl_maml["seeds"]) == ("xvl_maml", "tr", "0 1")
    assert (xvl_maml["training_languages"], xvl_maml["labels_per_step"], xvl_maml["steps"]) == ("tr", "32", "300")
    assert float(xvl_maml["difference_high"]) == pytest.approx(comparison.rows[1].difference.high, rel=1e-11)


def test_csv_leaves_the_deviation_of_one_seed_empty(two_rows, tmp_path):
    exports.write([build_comparison([(label, runs[:1]) for label, runs in two_rows])], tmp_path)
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["mean"], first["mean_std"], first["ar_std"]) == ("35.0", "", "")


def test_json_has_everything_down_to_the_seeds(comparison, tmp_path):
    exports.write([comparison], tmp_path)
    content = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert content["format"] == 1
    assert (content["task"], content["split"], content["metric"]) == ("mini/xvnli", "test", "accuracy")
    assert (content["sources"], content["auxiliary"], content["targets"]) == (["en"], ["tr"], ["ar", "ru"])
    assert content["examples"] == {"en": 4, "tr": 4, "ar": 4, "ru": 5}
    finetune, xvl_maml = content["rows"]
    assert finetune["target_mean"]["per_seed"] == [35.0, 32.5]
    assert finetune["difference"] is None
    assert list(xvl_maml["runs"]) == list(comparison.rows[1].runs)
    assert xvl_maml["languages"]["ar"] == {
        "text": "87.5 ±17.7",
        "mean": 87.5,
        "std": 17.6776695297,
        "per_seed": [75.0, 100.0],
    }
    difference = comparison.rows[1].difference
    assert xvl_maml["difference"].pop("text") == f"+45.0* [{difference.low:.1f}, {difference.high:.1f}]"
    assert xvl_maml["difference"].pop("verdict") is None
    assert xvl_maml["difference"] == pytest.approx(vars(difference) | {"detectable": difference.detectable}, rel=1e-11)
    assert content["drawn"]["number"] == 9 and content["margin"] is None
    assert content["summary"][0].startswith("xvl_maml beats")
    assert (content["notes"], content["details"]) == (notes(comparison), details(comparison))


def test_numbers_have_no_noise_of_binary_fractions(make_run, tmp_path):
    scores = {"test": {"ru": {"accuracy": 62.74999999999999, "examples": 400}}}
    run = make_run("finetune", 0, {"ru": "1" * 251 + "0" * 149}, scores=scores)
    exports.write([build_comparison([("finetune", [run])])], tmp_path)
    content = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert content["rows"][0]["languages"]["ru"] == {"text": "62.8", "mean": 62.75, "std": None, "per_seed": [62.75]}
    assert ",62.75," in (tmp_path / "comparison.csv").read_text(encoding="utf-8")


def test_markdown_is_a_table_with_notes(comparison, tmp_path):
    exports.write([comparison], tmp_path)
    lines = (tmp_path / "comparison.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "**mini/xvnli, test split: accuracy (%)**"
    assert lines[2] == "|  | en (source) | tr (auxiliary) | ar | ru | mean | difference |"
    assert lines[3] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert lines[4] == (
        r"| fine\_tune \& co \| 100% | 87.5 ±17.7 | 12.5 ±17.7 | 37.5 ±17.7 | 30.0 ±14.1 | 33.8 ±1.8 |  |"
    )
    assert lines[5].startswith(r"| xvl\_maml | 0.0 ±0.0 | 100.0 ±0.0 | 87.5 ±17.7 | 70.0 ±14.1 | 78.8 ±15.9 |")
    assert r"| +45.0\* \[" in lines[5] and lines[5].endswith(r"\] |")
    assert lines[7] == (
        "- Scores are means over 2 seeds (0, 1) with standard deviations; the mean is over 2 target languages, without "
        "source en and auxiliary tr."
    )
    exports.write([comparison], tmp_path, full=True)
    lines = (tmp_path / "comparison.md").read_text(encoding="utf-8").splitlines()
    assert lines[7] == "- The mean is over 2 target languages, without source en and auxiliary tr."
