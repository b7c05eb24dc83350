"""Sweeps' files as matrices: what counts as transfer, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iglue_plugins.advice.matrix import read_matrix, shipped_matrix
from iglue_plugins.utils.errors import UserError

LANGUAGES = ("tr", "ru", "ar", "sw")
SCORES = {  # by seed, row and language
    (seed, row, language): 50 + 10 * seed + 4 * i + j
    for seed in (0, 1)
    for i, row in enumerate(LANGUAGES)
    for j, language in enumerate(("en", *LANGUAGES))
}


def scores_csv(path: Path, scores: dict[tuple[int, str, str], float] = SCORES) -> Path:
    """Writes scores.csv as `iglue sweep` does, with a baseline and a row of two languages."""
    lines = ["label,auxiliary_languages,task,split,metric,seed,language,role,score,run"]
    lines += [f"finetune,,mini/xvnli,test,accuracy,0,{language},target,1.5,runs/0" for language in LANGUAGES]
    lines += [f"tr+ru,tr+ru,mini/xvnli,test,accuracy,0,{language},target,2.5,runs/1" for language in LANGUAGES]
    for (seed, row, language), score in scores.items():
        role = "auxiliary" if row == language else "target"
        lines.append(f"{row},{row},mini/xvnli,test,accuracy,{seed},{language},{role},{score},runs/2")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def matrix_csv(path: Path) -> Path:
    lines = ["label,auxiliary_languages,trained_on,en,tr,ru,ar,sw,mean_unseen", "finetune,,,1,1,1,1,1,1"]
    for row in LANGUAGES:
        means = [str((SCORES[0, row, language] + SCORES[1, row, language]) / 2) for language in ("en", *LANGUAGES)]
        lines.append(f"{row},{row},{row},{','.join(means)},3.0")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_scores_of_each_seed_without_baseline_joint_rows_source_and_diagonal(tmp_path: Path) -> None:
    read = read_matrix(scores_csv(tmp_path / "scores.csv"), LANGUAGES)
    assert read.scores.shape == (2, 4, 4)
    assert read.size == (4, 4)
    assert np.isnan(read.scores[:, np.eye(4, dtype=bool)]).all()
    assert read.scores[1, 0, 2] == SCORES[1, "tr", "ar"]
    assert np.isnan(read.scores).sum() == 8


def test_both_files_of_a_sweep_have_the_same_means(tmp_path: Path) -> None:
    of_seeds = read_matrix(scores_csv(tmp_path / "scores.csv"), LANGUAGES).scores.mean(0)
    np.testing.assert_array_equal(of_seeds, read_matrix(matrix_csv(tmp_path / "m.csv"), LANGUAGES).scores[0])


def test_a_folder_gives_the_scores_of_seeds(tmp_path: Path) -> None:
    matrix_csv(tmp_path / "matrix.csv")
    assert len(read_matrix(tmp_path, LANGUAGES).scores) == 1
    scores_csv(tmp_path / "scores.csv")
    assert len(read_matrix(tmp_path, LANGUAGES).scores) == 2


def test_the_matrix_that_ships_is_that_of_the_results() -> None:
    shipped = shipped_matrix("mini/xvnli")
    assert shipped is not None
    assert shipped.read_bytes() == (Path(__file__).parents[2] / "docs/results/auxiliary_languages.csv").read_bytes()
    assert shipped_matrix("mini/xgqa") is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "has no rows with a column 'label'"),
        ("a,b\n1,2\n", "has no rows with a column 'label'"),
        ("label,x\nfinetune,2\n", "has no column 'trained_on'"),
        ("label,trained_on,tr,ru\ntr,tr,1,high\n", "line 2: the score 'high' is no number"),
        ("label,trained_on,tr,ru\ntr,tr,1,nan\n", "line 2: the score 'nan' is no number"),
        ("label,trained_on,tr,ru\na,tr,1,2\nb,tr,1,2\n", "several rows were trained on 'tr' alone"),
        ("label,trained_on,tr,ru\na,tr,1,2\na,ru,1,2\n", "has two rows 'a'"),
        ("label,trained_on,tr,ru\ntr,tr,1,2\n", "has scores of 1 auxiliary languages in 1 target languages"),
        ("label,trained_on,tr,ru\ntr,tr,1,2,3\n", "has no rows"),
        ('label,trained_on\n"a,b\n', "is no CSV file"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "matrix.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_matrix(file, LANGUAGES)
    assert str(error.value).startswith(f"{file}") and sentence in str(error.value)


def test_bytes_that_are_no_text_missing_files_and_double_scores_are_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "scores.csv"
    damaged.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is no CSV file"):
        read_matrix(damaged, LANGUAGES)
    with pytest.raises(UserError, match="cannot be read"):
        read_matrix(tmp_path / "missing.csv", LANGUAGES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"has neither scores\.csv nor matrix\.csv"):
        read_matrix(tmp_path / "empty", LANGUAGES)
    lines = scores_csv(damaged).read_text().splitlines()
    damaged.write_text("\n".join([*lines, lines[-1]]))
    with pytest.raises(UserError, match="two scores of 'sw' in 'sw'"):
        read_matrix(damaged, LANGUAGES)
