from pathlib import Path

from reported_runs import log_scalars

from iglue_plugins.reporting.report.events import read_scalars


def test_scalars_by_step(tmp_path: Path) -> None:
    log_scalars(tmp_path, {"train/loss": {10: 0.5, 5: 1.0}, "eval/validation": {10: 60.0}})
    found = read_scalars(tmp_path)
    assert list(found["train/loss"].items()) == [(5, 1.0), (10, 0.5)]
    assert found["eval/validation"] == {10: 60.0}


def test_a_resumed_run_has_the_last_word(tmp_path: Path) -> None:
    for number, value in enumerate((3.0, 2.0)):
        log_scalars(tmp_path, {"train/loss": {5: value}})
        (newest,) = (path for path in (tmp_path / "tensorboard").iterdir() if not path.name.startswith("tfevents"))
        newest.rename(newest.with_name(f"tfevents.{number}"))
    assert read_scalars(tmp_path) == {"train/loss": {5: 2.0}}


def test_what_is_damaged_is_left_out(tmp_path: Path) -> None:
    log_scalars(tmp_path, {"train/loss": dict.fromkeys(range(20), 1.0)})
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-30])
    (tmp_path / "tensorboard" / "tfevents.text").write_text("no events")
    assert 10 < len(read_scalars(tmp_path)["train/loss"]) < 20


def test_a_run_without_logs(tmp_path: Path) -> None:
    assert read_scalars(tmp_path) == {}
