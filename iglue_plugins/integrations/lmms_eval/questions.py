"""What a generative model is asked about an example, and how its answer is read.

Instructions are English; the example's own text stays in its language.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NOT = re.compile(r"\bnot\b|n['’]t\b", re.IGNORECASE)
ARTICLE = re.compile(r"^(?:an?|the) ")
MARKS = string.punctuation + string.whitespace + "“”‘’。，！？؟।"


@dataclass(frozen=True)
class Question:
    """How one task asks.

    prompt: with {text}, and {labels} where the labels are listed. forms: by label, a pattern of the words that stand
    for it; without forms, an answer is compared to the label as `normalised` writes both.
    """

    prompt: str
    forms: Mapping[str, str] = field(default_factory=dict)

    def ask(self, text: str, labels: Sequence[str] = ()) -> str:
        """The prompt about an example with this text."""
        return self.prompt.format(text=text, labels=", ".join(labels))

    def read(self, answer: str) -> str:
        """What the answer says: with forms a label, or nothing where none can be told; otherwise the normalised answer.

        With forms, the whole answer or its first word names the label; or else the one label that it names anywhere, if
        it names one only and has no 'not'.
        """
        if not self.forms:
            return normalised(answer)
        start = answer.lstrip(MARKS)
        for label, form in self.forms.items():
            if re.match(rf"(?:{form})\b", start, re.IGNORECASE):
                return label
        named = [label for label, form in self.forms.items() if re.search(rf"\b(?:{form})\b", answer, re.IGNORECASE)]
        return named[0] if len(named) == 1 and not NOT.search(answer) else ""

    def is_right(self, answer: str, label: str) -> bool:
        return self.read(answer) == (label if self.forms else normalised(label))


def normalised(answer: str) -> str:
    """In small letters, without marks at its ends, without an article in front, and with single spaces."""
    return ARTICLE.sub("", " ".join(answer.lower().split()).strip(MARKS))


INFERENCE = {"contradiction": "contradict(?:ion|s|ed|ory)?", "entailment": "entail(?:ment|s|ed)?", "neutral": "neutral"}
TRUTH = {"False": "false|no", "True": "true|yes"}

QUESTIONS = {
    "xvnli": Question(
        "Hypothesis: {text}\nIs the hypothesis true of the image? Answer with one word: entailment if the image shows "
        "that it is true, contradiction if the image shows that it is false, neutral if the image does not tell.",
        INFERENCE,
    ),
    "xgqa": Question(
        "Question: {text}\nAnswer the question about the image with a single English word or short phrase."
    ),
    "marvl": Question(
        "The first image is the left one, the second the right one. Statement: {text}\n"
        "Is the statement true of the two images? Answer with one word: True or False.",
        TRUTH,
    ),
    "mini/xvnli": Question(
        "Two things: {text}\nAre they in the image? Answer with one word: entailment if both are, neutral if only one "
        "of them is, contradiction if neither is.",
        INFERENCE,
    ),
    "mini/xgqa": Question(
        "The image shows two things. Question: {text}\nThe name of a thing asks whether it is in the image. A name "
        "that is followed by a gap asks for the other thing. A kind of thing asks which thing of that kind is in the "
        "image. Answer with one of these: {labels}."
    ),
    "mini/marvl": Question(
        "Things: {text}\nDo both images show all of them? Answer with one word: True or False.", TRUTH
    ),
}
