from collections import Counter

from iglue_plugins.reporting.report.confusions import confusions
from iglue_plugins.reporting.report.row_answers import RowAnswers

COUNTS = {"en": Counter({("a", "a"): 9}), "tr": Counter({("a", "a"): 3, ("a", "b"): 1, ("b", "b"): 2})}


def test_matrix_of_the_languages_that_are_asked_for() -> None:
    (found,) = confusions({"row": RowAnswers(confusions=COUNTS)}, ["tr", "lacking"])
    assert (found.name, found.labels, found.wrong, found.answers) == ("row", ("a", "b"), 1, 6)
    assert [(row.label, row.percentages, row.answers) for row in found.rows] == [("a", (75, 25), 4), ("b", (0, 100), 2)]
    assert found.rows[0].shades == [8, 2]


def test_labels_that_only_another_row_says_are_columns_too() -> None:
    rows = {"one": RowAnswers(confusions=COUNTS), "two": RowAnswers(confusions={"tr": Counter({("a", "c"): 1})})}
    one, two = confusions(rows, ["tr"])
    assert one.labels == two.labels == ("a", "b", "c")
    assert two.rows[1].percentages == (0, 0, 0)


def test_of_many_labels_the_commonest_wrong_answers_are_listed() -> None:
    counts = Counter({(str(label), str(label + 1)): 20 - label for label in range(15)} | {("x", "x"): 50})
    (found,) = confusions({"row": RowAnswers(confusions={"tr": counts})}, ["tr"])
    assert (found.labels, found.rows) == ((), ())
    assert found.frequent[:2] == (("0", "1", 20), ("1", "2", 19))
    assert len(found.frequent) == 10


def test_rows_without_answers_have_none() -> None:
    assert confusions({"row": RowAnswers()}, ["tr"]) == []
