"""A generative model in a package for lmms-eval, whose answers depend on the pictures and the prompt."""

from __future__ import annotations

from typing import Any

from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest
from PIL import Image

ANSWERS = {
    "mini/xvnli": ("Entailment.", "It is neutral", "The image contradicts it.", "no idea"),
    "mini/xgqa": ("No.", "yes", "a lion", "The magnet"),
    "mini/marvl": ("True", "False.", "Yes, both do", "Not true"),
}


def answer(task: str, prompt: str, pictures: list[Image.Image]) -> str:
    assert len(pictures) == (2 if task == "mini/marvl" else 1)
    return ANSWERS[task][(sum(picture.resize((1, 1)).getpixel((0, 0))[0] for picture in pictures) + len(prompt)) % 4]


class Simple(lmms):
    def __init__(self, **_: Any) -> None:
        super().__init__()

    def generate_until(self, requests: list[Any]) -> list[str]:
        found = []
        for request in requests:
            prompt, _, pictures, number, task, split = request.args
            document = self.task_dict[task][split][number]
            found.append(answer(document["task"], prompt, pictures(document)))
        return found

    def loglikelihood(self, requests: list[Any]) -> None:
        raise NotImplementedError

    generate_until_multi_round = loglikelihood


class Chat(Simple):
    is_simple = False

    def generate_until(self, requests: list[Any]) -> list[str]:
        found = []
        for request in requests:
            _, messages, _, number, task, split = request.args
            document = self.task_dict[task][split][number]
            (message,) = messages(document)
            pictures = [part["url"] for part in message["content"] if part["type"] == "image"]
            (prompt,) = (part["text"] for part in message["content"] if part["type"] == "text")
            found.append(answer(document["task"], prompt, pictures))
        return found


MANIFEST = [
    ModelManifest("standin_simple", simple_class_path="standin.Simple"),
    ModelManifest("standin_chat", chat_class_path="standin.Chat"),
]
