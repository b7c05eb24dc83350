"""Is the image, a single region, of the color that the text names?"""

import numpy as np
from colors_spec import ColorsSpec
from datasets import Dataset

from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.tasks.base import Task

WORDS = {"en": ("red", "blue"), "fr": ("rouge", "bleu"), "tr": ("kırmızı", "mavi")}


class Colors(ColorsSpec, Task):
    head = "classifier"
    labels = ("no", "yes")
    default_pairs = "aligned"

    def __init__(self, settings=None):
        super().__init__(settings)
        self._regions = InMemoryRegions(2, max_boxes=1)
        box = np.array([[0, 0, 1, 1]], np.float32)
        self._regions.add({word: (np.eye(2, dtype=np.float32)[[i]], box) for i, word in enumerate(WORDS["en"])}, 1, 1)

    @property
    def regions(self):
        return self._regions

    def load(self, split, language, shots=None):
        self.check_split_language(split, language)
        rows = [(i % 2, i // 2 % 2) for i in range(self.settings.examples)]
        return Dataset.from_list(
            [
                {
                    "id": f"{split}/{i}",
                    "image_ids": [WORDS["en"][image]],
                    "text": WORDS[language][word],
                    "language": language,
                    "label": self.labels[image == word],
                }
                for i, (image, word) in enumerate(rows)
            ]
        )

    def is_aligned(self, labels):
        return labels == self.labels.index("yes")

    def fingerprint(self, split, language, shots=None):
        return f"colors {self.settings.examples}"
