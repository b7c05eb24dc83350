from pathlib import Path

from reported_runs import make_ranked_rows, make_rows

from iglue_plugins.reporting.report.row_answers import gather_answers
from iglue_plugins.reporting.results import read_rows


def test_the_first_seed_is_kept_and_all_are_counted(tmp_path: Path) -> None:
    answers = gather_answers(read_rows(list(make_rows(tmp_path).items()), "test"))
    of_row = answers["finetune"]
    assert list(of_row.first) == ["en", "tr", "ar", "zh"]
    assert [answer.is_right for answer in of_row.first["tr"].values()] == [True, True, True, *[False] * 5]
    assert [of_row.right["tr"][f"test/{place}"] for place in range(4)] == [2, 2, 1, 0]
    assert sum(of_row.confusions["tr"].values()) == 16
    assert of_row.confusions["tr"]["contradiction", "contradiction"] == 2
    assert of_row.confusions["tr"]["contradiction", "entailment"] == 4


def test_rankings_are_not_confused(tmp_path: Path) -> None:
    answers = gather_answers(read_rows(list(make_ranked_rows(tmp_path).items()), "test"))
    assert not answers["finetune"].confusions["en"]
    assert answers["finetune"].right["en"]["test/0"] == 2
