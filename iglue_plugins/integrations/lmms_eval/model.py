"""The model `iglue` of lmms-eval: a checkpoint of this package behind lmms-eval's interface."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.utils import simple_parse_args_string

from iglue_plugins.integrations.lmms_eval.predictor import Predictor
from iglue_plugins.utils.errors import UserError, did_you_mean, exit_on_user_error
from iglue_plugins.utils.progress import progress_bar

ARGUMENTS = ("pretrained", "data_root", "batch_size", "device")


class IGLUE(lmms):
    """A model that answers the documents of generated tasks.

    It finds region features by the ids of a document's images, and does not use prompts and pictures. lmms-eval would
    log an exception and exit with code 0, so the methods that it calls end the process with a sentence and exit code 2.

    Args:
        pretrained: The folder of a finished run, its model's folder, or the folder of a checkpoint.
        data_root: The folder with IGLUE's data; default: that of the run's recipe, or the environment variable
            IGLUE_HOME.
        batch_size: The number of examples in a batch. 1, which lmms-eval passes by default, and "auto" stand for that
            of the run's recipe.
        device: The device of the model; default: a GPU if there is one.
        max_batch_size: An option of lmms-eval that is not used.
        **unknown: Other arguments, which are errors.

    Raises:
        UserError: An argument is unknown, missing or invalid; there are several processes; or there is no such run,
            checkpoint, data_root or device.
    """

    @classmethod
    @exit_on_user_error()
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> IGLUE:
        """Make the model from lmms-eval's options.

        Args:
            arg_string: The value of --model_args.
            additional_config: Other options of lmms-eval; those of `arg_string` take precedence.

        Returns:
            The model.

        Raises:
            SystemExit: `arg_string` is not a list of name=value, or an argument has a problem; the exit code is 2.
        """
        try:
            arguments = simple_parse_args_string(arg_string)
        except ValueError:
            raise UserError(f"model_args: '{arg_string}' is not a list of name=value, separated by commas") from None
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
        super().__init__()
        for name in unknown:
            raise UserError(f"model_args: the model iglue has no argument '{name}'{did_you_mean(name, ARGUMENTS)}")
        if not pretrained:
            raise UserError("model_args: pretrained is missing; name the folder of a finished run or checkpoint")
        if (count := int(os.environ.get("WORLD_SIZE", 1))) > 1:
            raise UserError(f"WORLD_SIZE is {count}, but the model iglue runs in one process; start one")
        default = "cuda" if torch.cuda.is_available() else "cpu"
        root = None if data_root is None else str(data_root)
        self.predictor = Predictor(str(pretrained), root, _batch_size(batch_size), device or default)

    @exit_on_user_error()
    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Predict the label of each request's document.

        Documents of one task and language share batches.

        Args:
            requests: The requests of lmms-eval.

        Returns:
            The labels, in the order of the requests.

        Raises:
            SystemExit: A document is not of a generated task, the model is of another task, or data or features are
                missing; the exit code is 2.
        """
        documents = [self._document(request) for request in requests]
        places: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, document in enumerate(documents):
            places[document["task"], document["language"]].append(place)
        batchers = {
            key: self.predictor.batcher(key[0], [documents[place] for place in of_key])
            for key, of_key in places.items()
        }  # every problem of the data is found before the first prediction
        answers = [""] * len(requests)
        for key, batcher in progress_bar(iterable=batchers.items(), unit="task", desc="iglue"):
            for place, answer in zip(places[key], self.predictor.answers(batcher), strict=True):
                answers[place] = answer
        return answers

    def _document(self, request: Instance) -> dict[str, Any]:
        *_, number, task, split = request.args
        if "iglue_task" not in request.metadata:
            raise UserError(f"task {task}: the model iglue answers only tasks that `iglue lmms-eval-tasks` generated")
        return self.task_dict[task][split][number]

    @exit_on_user_error()
    def loglikelihood(self, requests: Sequence[Instance]) -> NoReturn:
        """Refuse requests for likelihoods, which the generated tasks do not make.

        Args:
            requests: The requests of lmms-eval.

        Raises:
            SystemExit: Always; the exit code is 2.
        """
        raise UserError("the model iglue gives no likelihoods; use generated tasks, which ask for generate_until")

    @exit_on_user_error()
    def generate_until_multi_round(self, requests: Sequence[Instance]) -> NoReturn:
        """Refuse requests for several rounds, which the generated tasks do not make.

        Args:
            requests: The requests of lmms-eval.

        Raises:
            SystemExit: Always; the exit code is 2.
        """
        raise UserError("the model iglue answers in one round; use generated tasks, which ask for generate_until")


def _batch_size(given: int | str | None) -> int | None:
    """Convert the option of lmms-eval to a number; None stands for the batch size of the recipe."""
    if given is None or str(given) == "1" or str(given).startswith("auto"):
        return None
    if not str(given).isdecimal() or int(given) == 0:
        raise UserError(f"batch_size: '{given}' is neither a whole number above 0 nor auto")
    return int(given)
