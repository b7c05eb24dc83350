"""A run that was pushed to a hub, as it comes back: the record beside the model, in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from iglue_plugins import registry
from iglue_plugins.models.adapter_files import CONFIG, holds_adapter
from iglue_plugins.recipes.recipe import Recipe, resolve_recipe
from iglue_plugins.runs.adapted_models import source_keys
from iglue_plugins.runs.folder import RECORD, Run
from iglue_plugins.runs.record_checks import check_record
from iglue_plugins.runs.status import as_mapping


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

    def recipe(self, overrides: Sequence[str] = ()) -> Recipe:
        """Resolve the recipe in the record; a whole model has its weights and processor from the folder.

        Args:
            overrides: Changes of the form `key.path=value`.

        Returns:
            The recipe, without its `start_from`.

        Raises:
            UserError: The record is damaged, its plugins are not installed, or an override does not fit.
        """
        record = self.require_record()
        check_record(self, record)
        data = dict(as_mapping(record.get("recipe")))
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
