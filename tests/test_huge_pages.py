"""The memory of large tensors is in huge pages, where Linux has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTING = "THP_MEM_ALLOC_ENABLE"
# Prints whether the system was asked for huge pages ("hg") for the memory of a tensor of 64 MiB.
PROGRAM = """
import re
import iglue_plugins, torch

tensor = torch.ones(2**24)
for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", open("/proc/self/smaps").read(), flags=re.M)[1:]:
    first, last = (int(end, 16) for end in mapping.split()[0].split("-"))
    if first <= tensor.data_ptr() < last:
        print("hg" in re.search(r"VmFlags:(.*)", mapping)[1].split())
"""


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="this system has no huge pages")
@pytest.mark.parametrize(("given", "expected"), [(None, "True"), ("0", "False")])
def test_large_tensors_ask_for_huge_pages_unless_the_user_says_otherwise(given: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != SETTING}
    if given is not None:
        environment[SETTING] = given
    found = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == expected
