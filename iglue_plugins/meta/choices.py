"""What users choose of a meta-step, by name; imports no PyTorch."""

from __future__ import annotations

from typing import Literal

Algorithm = Literal["maml", "fomaml", "reptile", "imaml"]
InnerStorage = Literal["graphs", "parameters", "start"]
