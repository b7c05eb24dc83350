"""Finding a run by what a user calls it: a folder, or an id on a hub."""

from __future__ import annotations

from pathlib import Path

from iglue_plugins.runs.folder import RECORD, Run
from iglue_plugins.runs.sharing.shared_run import run_in
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.model_sources import is_hub_id, is_hub_uri, split_hub_uri

READ = ["*.json", "*.safetensors", "*.txt", "*.model"]  # formats that run no code


def find_run(source: str | Path, revision: str | None = None) -> Run:
    """Find the run that a folder is of, or that was pushed to a hub.

    Args:
        source: The folder of a run, of its model, or of one that was pushed; a hub id, or hf://OWNER/NAME@REVISION.
        revision: The hub revision: a commit, tag or branch.

    Returns:
        The run, which in a folder need not be finished.

    Raises:
        UserError: The hub cannot be reached and its cache lacks the run, it has no such run, or a revision is given of
            a folder.
    """
    text = str(source)
    if is_hub_uri(text):
        text, named = split_hub_uri(text)
        return fetch_run(text, revision or named)
    if is_hub_id(text):
        return fetch_run(text, revision)
    if revision is not None:
        raise UserError(f"the revision '{revision}' is of a hub id, but {source} is none; leave it out")
    path = Path(source)
    run = Run(path.parent)
    return run if run.model_dir == path and not (path / RECORD).is_file() else run_in(path)


def fetch_run(hub_id: str, revision: str | None = None) -> Run:
    """Fetch a run from a hub, or find it in the hub's cache; no file that could run code is fetched.

    Args:
        hub_id: The repository.
        revision: The hub revision: a commit, tag or branch.

    Returns:
        The run, in the folder of its commit in the cache.

    Raises:
        UserError: It cannot be fetched, or is no run.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(hub_id, revision=revision, allow_patterns=READ))
    except Exception as error:  # the hub's client raises almost any error
        raise UserError(
            f"{hub_id}: there is no such folder, and no such model can be fetched from the hub ({first_line(error)}); "
            "name the folder of a finished run, or a hub id that `iglue push` has made"
        ) from error
    if not (folder / RECORD).is_file():
        raise UserError(
            f"{hub_id}: has no {RECORD}, so that `iglue push` has not made it; name it as model.checkpoint of a recipe"
        )
    return run_in(folder)
