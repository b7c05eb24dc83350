"""The prompts of each task for generative models, and the reading of their answers.

Instructions are English; the text of an example stays in its language.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NEGATION = re.compile(r"\bnot\b|n['’]t\b", re.IGNORECASE)
ARTICLE = re.compile(r"^(?:an?|the) ")
PUNCTUATION = string.punctuation + string.whitespace + "“”‘’。，！？؟।"


@dataclass(frozen=True)
class Question:
    """The question of one task.

    Attributes:
        prompt: The prompt, in which {text} stands for the example's text and {labels} for the list of labels.
        forms: By label, a pattern of the words that name it. Without forms, an answer is right if it equals the label
            after both are normalized.
    """

    prompt: str
    forms: Mapping[str, str] = field(default_factory=dict)

    def ask(self, text: str, labels: Sequence[str] = ()) -> str:
        """Return the prompt about an example.

        Args:
            text: The example's text.
            labels: The labels to list, for a prompt that lists them.

        Returns:
            The prompt.
        """
        return self.prompt.format(text=text, labels=", ".join(labels))

    def read(self, answer: str) -> str:
        """Read the label or the words from a model's answer.

        With forms, the label is the one that the answer begins with, or else the only one that it names anywhere, if it
        has no 'not'.

        Args:
            answer: The text that the model generated.

        Returns:
            With forms a label, or an empty string if the answer names none or several; without forms the normalized
            answer.
        """
        if not self.forms:
            return normalize_answer(answer)
        start = answer.lstrip(PUNCTUATION)
        for label, form in self.forms.items():
            if re.match(rf"(?:{form})\b", start, re.IGNORECASE):
                return label
        labels = [label for label, form in self.forms.items() if re.search(rf"\b(?:{form})\b", answer, re.IGNORECASE)]
        return labels[0] if len(labels) == 1 and not NEGATION.search(answer) else ""

    def is_right(self, answer: str, label: str) -> bool:
        """Return whether an answer is right.

        Args:
            answer: The text that the model generated.
            label: The label of the example.

        Returns:
            Whether the answer reads as the label.
        """
        return self.read(answer) == (label if self.forms else normalize_answer(label))


def normalize_answer(answer: str) -> str:
    """Normalize an answer for comparison with a label.

    Args:
        answer: The answer or the label.

    Returns:
        The text in lower case, with single spaces, without punctuation at its ends and without a leading article.
    """
    return ARTICLE.sub("", " ".join(answer.lower().split()).strip(PUNCTUATION))


INFERENCE_FORMS = {
    "contradiction": "contradict(?:ion|s|ed|ory)?",
    "entailment": "entail(?:ment|s|ed)?",
    "neutral": "neutral",
}
TRUTH_FORMS = {"False": "false|no", "True": "true|yes"}

QUESTIONS = {
    "xvnli": Question(
        "Hypothesis: {text}\nIs the hypothesis true of the image? Answer with one word: entailment if the image shows "
        "that it is true, contradiction if the image shows that it is false, neutral if the image does not tell.",
        INFERENCE_FORMS,
    ),
    "xgqa": Question(
        "Question: {text}\nAnswer the question about the image with a single English word or short phrase."
    ),
    "marvl": Question(
        "The first image is the left one, the second the right one. Statement: {text}\n"
        "Is the statement true of the two images? Answer with one word: True or False.",
        TRUTH_FORMS,
    ),
    "mini/xvnli": Question(
        "Two things: {text}\nAre they in the image? Answer with one word: entailment if both are, neutral if only one "
        "of them is, contradiction if neither is.",
        INFERENCE_FORMS,
    ),
    "mini/xgqa": Question(
        "The image shows two things. Question: {text}\nThe name of a thing asks whether it is in the image. A name "
        "that is followed by a gap asks for the other thing. A kind of thing asks which thing of that kind is in the "
        "image. Answer with one of these: {labels}."
    ),
    "mini/marvl": Question(
        "Things: {text}\nDo both images show all of them? Answer with one word: True or False.", TRUTH_FORMS
    ),
}
