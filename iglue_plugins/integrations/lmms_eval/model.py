"""The model `iglue` of lmms-eval: a checkpoint of ours, asked through lmms-eval's interface."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.utils import simple_parse_args_string

from iglue_plugins.integrations.lmms_eval.predicting import Predictor
from iglue_plugins.utils.errors import UserError, did_you_mean, exit_on_user_error
from iglue_plugins.utils.progress import progress_bar

ARGUMENTS = ("pretrained", "data_root", "batch_size", "device")


class IGLUE(lmms):
    """Answers the documents of generated tasks by their ids of images; prompts and pictures are not looked at.

    model_args: pretrained (a run's folder, or a checkpoint's), data_root (default: the recipe's, or IGLUE_HOME),
    batch_size and device. lmms-eval would log an Exception and end with exit code 0; what it calls ends the process
    with one sentence and 2.
    """

    @classmethod
    @exit_on_user_error()
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> IGLUE:
        """The model; what model_args say goes before additional_config, which has lmms-eval's own options.

        Raises:
            SystemExit: model_args are no list of name=value, or as `__init__` has.
        """
        try:
            arguments = simple_parse_args_string(arg_string)
        except ValueError:
            raise UserError(f"model_args: found '{arg_string}', expected name=value, separated by commas") from None
        return cls(**((additional_config or {}) | arguments))

    def __init__(
        self,
        pretrained: str | None = None,
        data_root: str | None = None,
        batch_size: int | str | None = None,
        device: str | None = None,
        max_batch_size: int | None = None,
        **unknown: Any,
    ) -> None:
        """batch_size: 1, which lmms-eval gives where nothing is asked for, or auto stands for the recipe's.

        Raises:
            UserError: an unknown or missing argument, several processes, a batch size that is no number, no such run,
                checkpoint, data_root or device.
        """
        super().__init__()
        for name in unknown:
            raise UserError(
                f"model_args: found '{name}', expected one of the model iglue's{did_you_mean(name, ARGUMENTS)}"
            )
        if not pretrained:
            raise UserError("model_args: found no pretrained, expected the folder of a finished run or checkpoint")
        if (count := int(os.environ.get("WORLD_SIZE", 1))) > 1:
            raise UserError(f"WORLD_SIZE: found {count} processes, expected one for the model iglue")
        default = "cuda" if torch.cuda.is_available() else "cpu"
        root = None if data_root is None else str(data_root)
        self.predictor = Predictor(str(pretrained), root, _batch_size(batch_size), device or default)

    @exit_on_user_error()
    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """The predicted label of each request's document; those of a task and language share batches.

        Raises:
            SystemExit: a document of another harness's task, or as `Predictor.batcher` has.
        """
        documents = [self._document(request) for request in requests]
        places: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, document in enumerate(documents):
            places[document["task"], document["language"]].append(place)
        batchers = {
            key: self.predictor.batcher(*key, [documents[place] for place in of_key]) for key, of_key in places.items()
        }  # all that can go wrong does so before the first prediction
        answers = [""] * len(requests)
        for key, batcher in progress_bar(iterable=batchers.items(), unit="task", desc="iglue"):
            for place, answer in zip(places[key], self.predictor.answers(batcher), strict=True):
                answers[place] = answer
        return answers

    def _document(self, request: Instance) -> dict[str, Any]:
        *_, number, task, split = request.args
        if "iglue_task" not in request.metadata:
            raise UserError(
                f"task {task}: found no task that `iglue lmms-eval-tasks` made, expected one for the model iglue"
            )
        return self.task_dict[task][split][number]

    @exit_on_user_error()
    def loglikelihood(self, requests: Sequence[Instance]) -> NoReturn:
        raise UserError("the model iglue was asked for likelihoods, expected generate_until, as the generated tasks do")

    @exit_on_user_error()
    def generate_until_multi_round(self, requests: Sequence[Instance]) -> NoReturn:
        raise UserError(
            "the model iglue was asked for several rounds, expected generate_until, as the generated tasks do"
        )


def _batch_size(given: int | str | None) -> int | None:
    """None for the recipe's."""
    if given is None or str(given) == "1" or str(given).startswith("auto"):
        return None
    if not str(given).isdecimal() or int(given) == 0:
        raise UserError(f"batch_size: found '{given}', expected a whole number above 0, or auto")
    return int(given)
