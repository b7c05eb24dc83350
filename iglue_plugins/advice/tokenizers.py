"""The tokenizer of a recipe's model, without its weights and without a network."""

from __future__ import annotations

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from iglue_plugins import registry
from iglue_plugins.models.checkpoints import LOADING_ERRORS
from iglue_plugins.recipes.recipe import Recipe

SOURCES = ("tokenizer", "processor", "checkpoint", "text_weights", "text")  # settings of models, the first that is set


def find_tokenizer(recipe: Recipe) -> PreTrainedTokenizerBase | str:
    """Load the tokenizer of a recipe's model from this machine.

    Args:
        recipe: The resolved recipe.

    Returns:
        The tokenizer, or why there is none.
    """
    cls, settings = registry.models.load(recipe.model.name), recipe.plugin("model")[1]
    completed = cls(settings).settings  # with the defaults of the model's class
    source = next((found for key in SOURCES if (found := getattr(completed, key, None))), None)
    if source is None:
        return f"the settings of model {recipe.model.name} name no tokenizer"
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, revision=getattr(completed, "revision", None), local_files_only=True, trust_remote_code=False
        )
    except LOADING_ERRORS:
        return f"no tokenizer is on this machine at {source}, of which nothing is downloaded"
    return tokenizer
