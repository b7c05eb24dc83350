"""What a task can count of its examples, by which scores can be looked at."""

from __future__ import annotations


class ExampleCounts:
    """The part of a task that counts what its examples show and name.

    Predictions keep the counts, so that scores can be looked at by them; nothing that is trained depends on them.
    """

    def object_count(self, image_id: str) -> int | None:
        """Return how many objects an image shows; None, as by default, where the task does not know it.

        Args:
            image_id: The image's id.
        """
        return None

    def unseen_count(self, text: str, language: str) -> int | None:
        """Return how many concepts a text names that training has not seen; None, as by default, if it is not known.

        A concept is seen if an example that the task has for training names or shows it, in any language.

        Args:
            text: The text of an example.
            language: The code of its language.
        """
        return None
