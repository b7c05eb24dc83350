"""The images of a task's examples, as those are known who make region features or pictures of them."""

from __future__ import annotations

from dataclasses import dataclass

from iglue_plugins.data.checking import check_pictures
from iglue_plugins.tasks.base import Task
from iglue_plugins.utils.errors import UserError, first_line


@dataclass(frozen=True)
class StoreImages:
    """Holds the images that belong into one region store.

    Attributes:
        store: The name of the store; '' if the task has a single store, whose images' ids name none.
        image_ids: The images that have a picture, as examples name them, in order.
    """

    store: str
    image_ids: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """What the ids have before the id in the store."""
        return f"{self.store}/" if self.store else ""


def list_images(task: Task, split: str | None = None) -> tuple[list[StoreImages], list[str]]:
    """List the images of a task's examples that have pictures, by region store.

    Args:
        task: The task.
        split: A split, whose images in all languages are listed; None for all splits.

    Returns:
        The images of each store that there is a picture of, and a sentence for each language of a split that cannot be
        read and for each store that lacks pictures.

    Raises:
        UserError: The task has no such split or no pictures, or there is no picture of any image.
    """
    if split is not None:
        task.check_split_language(split, task.languages[0])
    by_store: dict[str, set[str]] = {}
    unread: dict[str, list[str]] = {}  # by what is wrong
    for name, language, choices in task.available_splits():
        for shots in choices if split in (None, name) else ():
            try:
                stores = task.stores_of(name, language, shots)
                examples = task.load(name, language, shots)
            except UserError as error:
                unread.setdefault(name, []).append(f"{language} ({first_line(error)})")
                continue
            for image_id in (image_id for ids in examples["image_ids"] for image_id in ids):
                by_store.setdefault(image_id.partition("/")[0] if stores else "", set()).add(image_id)
    notes = [
        f"split '{name}': the examples of {len(languages)} of its files cannot be read, such as {languages[0]}; images "
        "that only they have are not looked for"
        for name, languages in unread.items()
    ]
    found: list[StoreImages] = []
    for store, image_ids in sorted(by_store.items()):
        missing: set[str] = set()
        for check in check_pictures(sorted(image_ids), task.pictures):
            missing.update(check.missing)
            notes += [str(check)] * bool(check.missing)
        if image_ids - missing:
            found.append(StoreImages(store, tuple(sorted(image_ids - missing))))
    if not found:
        reasons = "; ".join(notes) or "there are no examples"
        raise UserError(f"task {task.name}: there is no picture of any image: {reasons}")
    return found, notes
