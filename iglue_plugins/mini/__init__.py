"""The embedded benchmark: four tasks on scenes of emoji pictures, in 15 languages."""

from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
LANGUAGES = ("en", "ar", "bn", "de", "es", "fr", "id", "ja", "ko", "pt", "ru", "sw", "ta", "tr", "zh")
PICTURE_SIZE = 64  # width and height in pixels of a picture in the atlas
ATLAS_COLUMNS = 12  # pictures in a row of the atlas
