"""A run that was pushed to a hub, as it comes back: the record beside the model, in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from iglue_plugins import registry
from iglue_plugins.models.adapter_files import CONFIG, holds_adapter
from iglue_plugins.recipes.recipe import Recipe, resolve_recipe
from iglue_plugins.runs.adapted_models import source_keys
from iglue_plugins.runs.folder import RECORD, Run
from iglue_plugins.runs.record_checks import check_record, check_scores
from iglue_plugins.runs.sharing.private_values import public_value
from iglue_plugins.runs.status import as_mapping
from iglue_plugins.utils.errors import UserError


class SharedRun(Run):
    """The folder of a run whose model lies beside its record.

    Its recipe is that of the record: a recipe's file may name environment variables and other files, which are nothing
    that somebody else's repository has to read.
    """

    @property
    @override
    def model_dir(self) -> Path:
        """The folder itself."""
        return self.folder

    @override
    def record(self) -> dict[str, Any] | None:
        """Read the record, which somebody else may have written.

        Returns:
            The record, or None if the run is not finished. What is not in it of the run before stays unknown, since
            the folder that it names is no business of this machine.

        Raises:
            UserError: The record is damaged, has another format, or lacks what is read of it.
        """
        record = super().record()
        if record is None:
            return None
        check_record(self, record)
        if not isinstance(record.get("fingerprint"), str):
            raise UserError(f"{self.record_path}: has no fingerprint; fetch the run again, or run it again")
        for split in record["scores"]:
            check_scores(self, record, split)
        if (start := record.get("start_from")) is not None and start.get("settings") is None:
            start["settings"] = {}
        return record

    def recipe(self, overrides: Sequence[str] = ()) -> Recipe:
        """Resolve the recipe in the record, without local paths of the data; a whole model comes from the folder.

        Args:
            overrides: Changes of the form `key.path=value`.

        Returns:
            The recipe, without its `start_from`.

        Raises:
            UserError: The record is damaged, its plugins are not installed, or an override does not fit.
        """
        data = dict(as_mapping(self.require_record().get("recipe")))
        data["task"] = public_value(data.get("task"), "task")
        model = as_mapping(data.get("model"))
        if not holds_adapter(self.folder) and isinstance(name := model.get("name"), str):
            settings = registry.models.get(name).Settings
            left_out = {*source_keys(settings), "config", "processor"}
            data["model"] = {key: value for key, value in model.items() if key not in left_out}
            if "checkpoint" in settings.model_fields:
                data["model"]["checkpoint"] = str(self.folder)
        return resolve_recipe(data, str(self.record_path), ["start_from=model", *overrides])


def run_in(folder: Path) -> Run:
    """Return the run in a folder, be it one that trained here or one that was pushed.

    Args:
        folder: The folder, which need not hold a run.
    """
    is_shared = (folder / RECORD).is_file() and any((folder / name).is_file() for name in ("config.json", CONFIG))
    return SharedRun(folder) if is_shared else Run(folder)
