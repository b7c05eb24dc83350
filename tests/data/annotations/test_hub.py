"""Copies of the test sets on a hub, as folders of Parquet with the columns that the real ones have."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as PillowImage

from iglue_plugins.data.annotations.caching import FEATURES
from iglue_plugins.data.annotations.hub import HubCopy
from iglue_plugins.utils.errors import UserError

Row = dict[str, Any]
Write = Callable[..., Path]

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(colour: tuple[int, int, int]) -> dict[str, Any]:
    file = io.BytesIO()
    PillowImage.new("RGB", (4, 3), colour).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def xvnli(**changes: Any) -> Row:
    return {
        "label": "neutral",
        "caption": "Una mujer ríe.",
        "hypothesis": "Está contenta.",
        "caption_id": "42.jpg#2",
        "pair_id": "42.jpg#2r1c",
        "flikr30k_id": "42.jpg",
        "image": picture(RED),
    } | changes


def xgqa(**changes: Any) -> Row:
    return {
        "question": "¿Está nublado?",
        "answer": "no",
        "full_answer": "No, it is not.",
        "image_id": "n161313",
        "image": picture(RED),
    } | changes


def marvl(**changes: Any) -> Row:
    return {
        "id": "id-7",
        "hypothesis": "Ada dua panci.",
        "hypo_en": "There are two pans.",
        "language": "id",
        "label": False,
        "chapter": "House",
        "concept": "39-Panci",
        "left_img_id": "39-0.jpg",
        "right_img_id": "39-12.jpg",
        "left_img": picture(RED),
        "right_img": picture(BLUE),
    } | changes


def xflickrco(**changes: Any) -> Row:
    return {"sentences": "Ein Hund.", "id": "42", "image": picture(RED)} | changes


LABELS = {
    "xvnli": ("contradiction", "neutral", "entailment"),
    "xgqa": ("yes",),
    "marvl": ("False", "True"),
    "xflickrco": ("match",),
}


@pytest.fixture
def copy(tmp_path: Path) -> Write:
    """A folder with a split of a language; columns of pictures are declared as such."""

    def write(rows: list[Row], language: str = "es") -> Path:
        path = tmp_path / "copy" / "data" / f"{language}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        features = Features(
            {
                key: Image() if isinstance(value, dict) else Value("bool" if isinstance(value, bool) else "string")
                for key, value in rows[0].items()
            }
        )
        Dataset.from_list(rows, features=features).to_parquet(path)
        return tmp_path / "copy"

    return write


def hub_copy(task: str, folder: Path) -> HubCopy:
    return HubCopy(task, str(folder), None, LABELS[task])


@pytest.mark.parametrize(
    ("task", "row", "expected"),
    [
        (
            "xvnli",
            xvnli(),
            {
                "id": "42.jpg#2r1c",
                "image_ids": ["store/42"],
                "text": "Está contenta.",
                "label": "neutral",
                "caption": "Una mujer ríe.",
            },
        ),
        (
            "xgqa",
            xgqa(),
            {
                "id": "0",
                "image_ids": ["store/n161313"],
                "text": "¿Está nublado?",
                "label": "no",
                "caption": "¿Está nublado? no",
            },
        ),
        (
            "marvl",
            marvl(),
            {
                "id": "id-7",
                "image_ids": ["store/39-0", "store/39-12"],
                "text": "Ada dua panci.",
                "label": "False",
                "caption": None,
            },
        ),
        (
            "marvl",
            marvl(label=True, left_img_id="39-Panci/39-0"),
            {"image_ids": ["store/39-0", "store/39-12"], "label": "True"},
        ),
        (
            "xflickrco",
            xflickrco(),
            {
                "id": "COCO_val2014_000000000042#0",
                "image_ids": ["store/COCO_val2014_000000000042"],
                "text": "Ein Hund.",
                "label": "match",
                "caption": None,
            },
        ),
        ("xflickrco", xflickrco(id="2097358575"), {"id": "2097358575#0", "image_ids": ["store/2097358575"]}),
    ],
)
def test_rows_become_the_examples_that_files_give(task: str, row: Row, expected: Row, copy: Write) -> None:
    examples = hub_copy(task, copy([row])).read("es", "store", keep_unknown=True).examples
    assert examples.features == FEATURES
    assert examples[0] == examples[0] | expected | {"language": "es"}


def test_rows_without_a_label_are_left_out_and_counted(copy: Write) -> None:
    folder = copy([xvnli(), xvnli(label="-", pair_id="2"), xvnli(pair_id="3"), xvnli(pair_id="3")])
    found = hub_copy("xvnli", folder).read("es", "flickr30k")
    assert found.examples["id"][:] == ["42.jpg#2r1c", "3", "3"]
    assert (found.counts.unlabelled, found.counts.repeated, found.counts.first_repeated) == (1, 1, "3")


def test_pictures_are_found_by_their_names(copy: Write) -> None:
    found = hub_copy("marvl", copy([marvl(), marvl(left_img_id="39-1.jpg", left_img=picture(BLUE))], "id"))
    colours = {name: found.picture("id", name).convert("RGB").getpixel((0, 0)) for name in ("39-0", "39-1", "39-12")}
    assert colours == {"39-0": RED, "39-1": BLUE, "39-12": BLUE}
    with pytest.raises(UserError, match="split 'id' has no image '39-2'; .* 3 images$"):
        found.picture("id", "39-2")


def test_reading_examples_decodes_no_pictures(copy: Write) -> None:
    damaged = {"bytes": b"no picture", "path": None}
    found = hub_copy("xvnli", copy([xvnli(image=damaged), xvnli(pair_id="2", flikr30k_id="43")]))
    assert len(found.read("es", "flickr30k").examples) == 2
    assert found.picture("es", "43").size == (4, 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            xvnli(label="neutrall"),
            "row 1: found label 'neutrall', expected one of contradiction, neutral, entailment, -; ",
        ),
        (xvnli(hypothesis=None), "row 1: found hypothesis None, expected text"),
        (xvnli(flikr30k_id=None), "row 1: found flikr30k_id None, expected text or a whole number"),
    ],
)
def test_a_wrong_value_is_named_with_its_row(row: Row, message: str, copy: Write) -> None:
    folder = copy([xvnli(), row])
    with pytest.raises(UserError, match=f"^{folder}: split 'es': {message}"):
        hub_copy("xvnli", folder).read("es", "flickr30k")


def test_a_copy_that_lacks_columns_is_refused(copy: Write) -> None:
    folder = copy([{key: value for key, value in xvnli().items() if key not in ("hypothesis", "image")}])
    with pytest.raises(
        UserError,
        match=f"^{folder}: split 'es': the columns hypothesis, image are missing beside label, caption, caption_id, "
        "pair_id, flikr30k_id; ",
    ):
        hub_copy("xvnli", folder).read("es", "flickr30k")


def test_a_copy_without_labelled_rows_is_refused(copy: Write) -> None:
    with pytest.raises(UserError, match="split 'es': found no examples"):
        hub_copy("xvnli", copy([xvnli(label="-")])).read("es", "flickr30k")


def test_a_copy_without_the_language_is_refused(copy: Write) -> None:
    folder = copy([xvnli()])
    with pytest.raises(UserError, match=f"^{folder}: split 'fr' cannot be loaded "):
        hub_copy("xvnli", folder).read("fr", "flickr30k")


def test_the_fingerprint_of_a_folder_is_its_content(copy: Write) -> None:
    before = hub_copy("xvnli", copy([xvnli()])).fingerprint()
    assert hub_copy("xvnli", copy([xvnli()])).fingerprint() == before
    assert hub_copy("xvnli", copy([xvnli(label="entailment")])).fingerprint() != before
    assert len(hub_copy("xvnli", copy([xvnli()], "fr")).fingerprint()) == 2


def test_the_fingerprint_of_a_repository_is_its_revision() -> None:
    found = HubCopy("xvnli", "someone/xvnli", "0" * 40, LABELS["xvnli"])
    assert (str(found), found.fingerprint()) == (f"someone/xvnli@{'0' * 40}", {"someone/xvnli": "0" * 40})
