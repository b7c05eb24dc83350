"""Pinned npm packages, from which the mini benchmark's assets are built."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

from iglue_plugins.utils.errors import UserError

PACKAGES = {  # name@version: the registry's integrity string, a base64 SHA-512
    "emoji-datasource-google@16.0.0": (
        "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A=="
    ),
    "cldr-annotations-full@48.2.0": (
        "DV7A+rEcgUSNTRsVGNGqBZRmAkGfwhGHO5Q1dRwzBoBnVrHWp804JP7/QJdEc66iHmx3+zLWVIMCFLm0lW7PUQ=="
    ),
    "cldr-misc-full@48.2.0": (
        "dSc2Tr53dQcUGwsTinamEeoP2YXOhQrIZ+SyeuUrv4MzJOSjT/Q0qkSmX11ZwfcTbYSkIqbrgALQLhAm1yf5fA=="
    ),
}


class NpmPackage:
    """The tarball of a pinned package, which `npm pack` downloads once.

    Args:
        spec: The package, one of `PACKAGES`.
        folder: The folder of downloaded tarballs.

    Raises:
        UserError: npm fails, or the tarball does not have the integrity string of the package.
    """

    def __init__(self, spec: str, folder: Path) -> None:
        name, version = spec.rsplit("@", 1)
        path = folder / f"{name}-{version}.tgz"
        if not path.exists():
            npm = subprocess.run(["npm", "pack", "--silent", spec], cwd=folder, stdout=subprocess.DEVNULL)
            if npm.returncode:
                raise UserError(f"npm pack {spec}: failed with exit status {npm.returncode}; put {path} there by hand")
        content = path.read_bytes()
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if digest != PACKAGES[spec]:
            raise UserError(f"{path}: has sha512 {digest} instead of {PACKAGES[spec]}; delete it and build again")
        self._archive = tarfile.open(fileobj=BytesIO(content))

    def read(self, name: str) -> bytes:
        """Read a file of the package.

        Args:
            name: The file's path in the package.

        Returns:
            Its content.

        Raises:
            KeyError: The package does not have the file.
        """
        file = self._archive.extractfile(f"package/{name}")
        if file is None:
            raise KeyError(f"{name} is not a file of the package")
        return file.read()

    def json(self, name: str) -> Any:
        """Read a JSON file of the package.

        Args:
            name: The file's path in the package.

        Returns:
            The parsed content.
        """
        return json.loads(self.read(name))
