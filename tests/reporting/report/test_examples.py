from __future__ import annotations

from pathlib import Path

from PIL import Image
from reported_runs import EXAMPLES, make_ranked_rows, make_rows

from iglue_plugins.reporting.report.examples import TaskExamples, examples_of_task
from iglue_plugins.reporting.report.pictures import Thumbnails
from iglue_plugins.reporting.report.row_answers import gather_answers
from iglue_plugins.reporting.results import read_rows

ROOM = 1_000_000


class Pictures:
    def has(self, image_id: str) -> bool:
        return True

    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        return Image.new("RGB", (8, 8))


def examples(rows: dict[str, list[Path]], room: int = ROOM) -> TaskExamples | None:
    answers = gather_answers(read_rows(list(rows.items()), "test"))
    return examples_of_task("mini/xvnli", answers, (0, 1), Thumbnails(Pictures()), room)


def test_examples_on_which_rows_disagree(tmp_path: Path) -> None:
    found = examples(make_rows(tmp_path))
    assert found is not None
    assert (found.shown, found.left_out) == (16, 0)
    data = found.data
    assert sum(uri is not None for _, uri in data["images"]) == 4
    assert (data["rows"], data["seed"], data["seeds"], data["ranks"]) == (["finetune", "xvl_maml"], 0, 2, False)
    assert [(example[0], example[1]) for example in data["examples"]][:5] == [
        ("en", "test/1"), ("en", "test/3"), ("en", "test/4"), ("en", "test/5"), ("tr", "test/1"),
    ]  # fmt: skip
    language, id_, text, label, images, answers = data["examples"][4]
    assert (language, text, data["labels"][label]) == ("tr", "köpek ve kedi 1 x", "entailment")
    assert [data["images"][image][0] for image in images] == ["mini/xvnli/test/1/0"]
    (first, shares, right), (second, _, other_right) = answers
    assert (data["labels"][first], right, data["labels"][second], other_right) == ("entailment", 2, "neutral", 0)
    assert [(data["labels"][name], share) for name, share in shares][0] == ("entailment", 0.7)


def test_rankings(tmp_path: Path) -> None:
    found = examples(make_ranked_rows(tmp_path))
    assert found is not None
    data = found.data
    assert data["ranks"]
    by_id = {example[1]: example for example in data["examples"] if example[0] == "ar"}
    own = by_id["test/0"][3]
    images, similarities, place, right = by_id["test/0"][5][0]
    assert (images[0], place, right, len(images), similarities[0]) == (own, [1, 10, 0.05], 2, 5, 1.0)
    assert by_id["test/0"][5][1][2][0] == 2
    assert by_id[f"test/{EXAMPLES - 1}"][5][1][2] == [None, 10, 0.05]


def test_room_is_kept_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = make_rows(tmp_path)
    every, some = examples(rows), examples(rows, 1500)
    assert every is not None
    assert some is not None
    assert 0 < some.shown < every.shown
    assert some.shown + some.left_out == every.shown
    kept = [example[:2] for example in some.data["examples"]]
    assert kept == [example[:2] for example in every.data["examples"] if example[:2] in kept]
    assert len({example[1] for example in some.data["examples"]}) < len(kept)  # translations are kept together


def test_rows_that_agree_have_no_examples(tmp_path: Path) -> None:
    rows = make_rows(tmp_path)
    assert examples({"one": rows["finetune"][:1], "two": rows["finetune"][:1]}) is None
    assert examples({"one": rows["finetune"]}) is None
