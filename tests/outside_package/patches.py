"""A small vision transformer over a picture's patches, and the mean of the embeddings of a text's bytes."""

from pydantic import BaseModel, ConfigDict
from torch import nn
from torch.nn import functional
from transformers import ByT5Tokenizer, PreTrainedConfig, PreTrainedModel, ViTImageProcessorPil

from iglue_plugins.data.processors.pixels import PixelProcessor


class PatchesConfig(PreTrainedConfig):
    model_type = "patches_of_another_package"
    hidden_size: int = 16
    side: int = 32
    head: str | None = None
    initializer_range: float = 0.2


class PatchesModel(PreTrainedModel):
    config_class = PatchesConfig
    head_modules = ("head",)
    token_id_keys = ("input_ids",)

    def __init__(self, config):
        super().__init__(config)
        size, patches = config.hidden_size, config.side // 8
        self.bytes = nn.Embedding(259, size)
        self.patches = nn.Conv2d(3, size, 8, 8)
        self.positions = nn.Embedding(patches * patches, size)
        self.encoder = nn.TransformerEncoderLayer(size, 2, 2 * size, 0, batch_first=True, norm_first=True)
        self.head = self.make_head()
        self.post_init()

    def make_head(self):
        images = 2 if self.config.head == "image_pair" else 1
        return nn.Linear(images * self.config.hidden_size, self.config.num_labels)

    def get_input_embeddings(self):
        return self.bytes

    def set_head(self, kind, num_labels):
        if (self.config.head, self.config.num_labels) != (kind, num_labels):
            self.config.head, self.config.num_labels = kind, num_labels
            self.head = self.make_head().to(self.device)

    def embed_text(self, input_ids, attention_mask, text_rows):
        mask = attention_mask.unsqueeze(-1)
        return functional.normalize((self.bytes(input_ids) * mask).sum(1))[text_rows]

    def embed_image(self, pixel_values, image_rows, images_per_text=1):
        patches = self.patches(pixel_values).flatten(2).mT + self.positions.weight
        vectors = self.encoder(patches).mean(1)[image_rows]
        return functional.normalize(vectors.unflatten(0, (-1, images_per_text)).mean(1))

    def forward(self, input_ids, attention_mask, text_rows, pixel_values, image_rows):
        image = self.embed_image(pixel_values, image_rows)
        products = self.embed_text(input_ids, attention_mask, text_rows) * image * self.config.hidden_size
        return self.head(products.view(-1, self.head.in_features))


class Patches:
    reads = "pixels"

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        checkpoint: str | None = None

    def __init__(self, settings):
        self.settings = settings

    def load(self):
        saved, config = self.settings.checkpoint, PatchesConfig()
        model = PatchesModel.from_pretrained(saved) if saved else PatchesModel(config)
        size = {"height": config.side, "width": config.side}
        images = ViTImageProcessorPil.from_pretrained(saved) if saved else ViTImageProcessorPil(size=size)
        tokenizer = ByT5Tokenizer.from_pretrained(saved) if saved else ByT5Tokenizer(extra_ids=0)
        return model.eval(), PixelProcessor(tokenizer, images)
