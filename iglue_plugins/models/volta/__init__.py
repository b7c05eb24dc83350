"""Models of the VOLTA toolkit in its IGLUE version (github.com/e-bug/iglue): a JSON configuration and a .bin file."""

from iglue_plugins.models.volta.reading import NO_HEAD, TOKENIZER_FOLDER, from_volta, import_checkpoint, volta_files
from iglue_plugins.models.volta.writing import export_checkpoint

__all__ = ["NO_HEAD", "TOKENIZER_FOLDER", "export_checkpoint", "from_volta", "import_checkpoint", "volta_files"]
