"""The settings of trainers in a recipe; these modules import neither PyTorch nor transformers."""
