"""The mean of the token embeddings times the mean of the regions."""

from pydantic import BaseModel, ConfigDict
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from iglue_plugins.data.processors.regions import RegionProcessor


class PooledConfig(PreTrainedConfig):
    model_type = "pooled_of_another_package"
    hidden_size: int = 8
    head: str = "classifier"


class PooledModel(PreTrainedModel):
    config_class = PooledConfig

    def __init__(self, config):
        super().__init__(config)
        self.tokens = nn.Embedding(256, config.hidden_size)
        self.regions = nn.Linear(2, config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def get_input_embeddings(self):
        return self.tokens

    def embed_text(self, input_ids, attention_mask):
        mask = attention_mask.unsqueeze(-1)
        return (self.tokens(input_ids) * mask).sum(1) / mask.sum(1)

    def embed_image(self, region_features, region_locations, region_mask, images_per_text=1):
        mask = region_mask.unsqueeze(-1)
        return (self.regions(region_features) * mask).sum(1) / mask.sum(1)

    def forward(self, input_ids, attention_mask, **regions):
        return self.head(self.embed_text(input_ids, attention_mask) * self.embed_image(**regions))

    def set_head(self, kind, num_labels):
        if self.config.num_labels != num_labels:
            self.config.num_labels = num_labels
            self.head = nn.Linear(self.config.hidden_size, num_labels)


class Pooled:
    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        checkpoint: str | None = None

    def __init__(self, settings):
        self.settings = settings

    def load(self):
        bytes_ = Tokenizer(models.BPE(vocab={chr(i): i for i in range(256)}, merges=[], unk_token="?"))
        bytes_.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_, pad_token="!", unk_token="?")
        processor = RegionProcessor(tokenizer)
        if self.settings.checkpoint:
            return PooledModel.from_pretrained(self.settings.checkpoint).eval(), processor
        return PooledModel(PooledConfig()).eval(), processor
