"""Where, when and by what a run is worked on: date, host, device, versions, command and commits."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from iglue_plugins.utils import distributed
from iglue_plugins.utils.version import package_version

PACKAGE = Path(__file__).parents[1]
VERSIONED = ("torch", "transformers", "datasets", "accelerate", "tokenizers", "numpy")


def describe_process() -> dict[str, Any]:
    """Describe this process for the record of the run that it works on.

    Returns:
        JSON values by name: the date in UTC, the host, the device, the number of processes that work together, the
        command, the commits of this package's repository and of the working folder's (None where there is none), and
        the versions of the libraries.
    """
    program, *arguments = sys.argv
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "device": describe_device(distributed.device()),
        "processes": distributed.process_state().num_processes,
        "command": shlex.join([Path(program).name, *arguments]),
        "commits": {
            "iglue_plugins": commit_of(PACKAGE / "__init__.py"),
            "working_folder": commit_of(Path.cwd()),
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package, and of the libraries that scores may depend on."""
    return {"iglue_plugins": package_version(), "python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in VERSIONED
    }


def describe_device(device: torch.device) -> str:
    """Name a device.

    Args:
        device: The device.

    Returns:
        Its type, and the product's name where it is known.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return f"{device.type} ({name})" if name else device.type


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor()


def commit_of(path: Path) -> str | None:
    """Find the commit that a folder, or a file under version control, is at.

    Args:
        path: The folder or file.

    Returns:
        The commit's hash, with "+changes" if tracked files differ from it; None without git or a repository.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_file() and _git(folder, "ls-files", "--error-unmatch", path.name) is None:
        return None  # installed into a folder that lies in another repository
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit and commit.strip() + ("+changes" if changes else "")


def _git(folder: Path, *arguments: str) -> str | None:
    if shutil.which("git") is None:
        return None
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None
