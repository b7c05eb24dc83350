"""Pickles that would make a file, use up the memory, or crash the process of a reader that trusts them."""

from __future__ import annotations

import builtins
import marshal
import os
import pickle
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

RECONSTRUCT = np.zeros(1).__reduce__()[0]
SCALAR = np.float32(1).__reduce__()[0]


class Reduced:
    """Is pickled as a call of a function, with the state to set on its result."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def malicious_pickles(marker: Path) -> dict[str, bytes]:
    """Makes pickles, each of which would make the file `marker` if it ran, or do worse.

    Args:
        marker: A file that does not exist, by a path in ASCII.
    """
    touch, source = f"touch {marker}", f"__import__('pathlib').Path({str(marker)!r}).touch()"
    return _calls(touch, source, marker) | _opcodes(touch) | _objects(source, marker) | _bombs()


def _calls(touch: str, source: str, marker: Path) -> dict[str, bytes]:
    compiled = marshal.dumps(compile(source, "x", "exec"))
    calls: dict[str, Reduced] = {
        "os.system": Reduced(os.system, (touch,)),
        "os.mkdir": Reduced(os.mkdir, (str(marker),)),
        "subprocess.call": Reduced(subprocess.call, (["touch", str(marker)],)),
        "subprocess.Popen": Reduced(subprocess.Popen, (["touch", str(marker)],)),
        "eval": Reduced(eval, (source,)),
        "exec": Reduced(exec, (source,)),
        "open": Reduced(open, (str(marker), "w")),
        "__import__": Reduced(__import__, ("antigravity",)),
        "getattr": Reduced(getattr, (Reduced(__import__, ("os",)), "system")),
        "map": Reduced(list, (Reduced(map, (eval, [source])),)),
        "marshal.loads": Reduced(marshal.loads, (compiled,)),
        "pickle.loads": Reduced(pickle.loads, (pickle.dumps(Reduced(os.system, (touch,))),)),
        "np.load": Reduced(np.load, (str(marker),)),
        "np.memmap": Reduced(np.memmap, (str(marker), "f4", "w+", 0, (3,))),
        "np.fromfile": Reduced(np.fromfile, ("/etc/hostname",)),
        "in a dict of an image": Reduced(dict, ([("features", Reduced(os.system, (touch,)))],)),
    }
    pickles = {name: pickle.dumps(call, 0 if name == "os.system" else 4) for name, call in calls.items()}
    return pickles | {
        "in a value": pickle.dumps({"features": [1, calls["eval"]], "boxes": [], "img_w": 1, "img_h": 1}),
        "in a key": pickle.dumps({("a", calls["exec"]): 1}),
    }


def _opcodes(touch: str) -> dict[str, bytes]:
    multiarray = b"\x8c\x16numpy._core.multiarray"
    line, text = touch.encode(), struct.pack("<I", len(touch)) + touch.encode()
    return {
        "GLOBAL": b"cos\nsystem\n(S'" + line + b"'\ntR.",
        "INST": b"(S'" + line + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'" + line + b"'\no.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93(X" + text + b"tR.",
        "STACK_GLOBAL with dots": b"\x80\x04\x8c\x05numpy\x8c\x11core.os.system.xx\x93(X" + text + b"tR.",
        "STACK_GLOBAL of an allowed module": b"\x80\x04" + multiarray + b"\x8c\x09os.system\x93(X" + text + b"tR.",
        "GLOBAL of an allowed name elsewhere": b"cposix\n_reconstruct\n(X" + text + b"tR.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n(X" + text + b"t\x81.",
        "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\n(X" + text + b"t}\x92.",
        "EXT1": b"\x80\x02\x82\x01(X" + text + b"tR.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00(X" + text + b"tR.",
        "PERSID": b"Pos.system\n.",
        "BINPERSID": b"\x80\x02X" + text + b"Q.",
        "NEXT_BUFFER": b"\x80\x05\x97.",
        "REDUCE of text": b"\x80\x02X" + text + b")R.",
        "an integer of digits": b"I" + b"9" * 5000 + b"\n.",
    }


def _objects(source: str, marker: Path) -> dict[str, bytes]:
    numpy_array = (np.ndarray, (0,), b"b")
    set_attribute = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n"
    hook = struct.pack("<I", len("__setstate__")) + b"__setstate__"
    return {
        "BUILD of a function": set_attribute + b"}X" + hook + b"cbuiltins\nexec\nsb.",
        "BUILD of slots": set_attribute + b"N}X" + hook + b"K\x01s\x86b.",
        "BUILD of __dict__": set_attribute + b"}X\x08\x00\x00\x00__dict__}sb.",
        "BUILD of __class__": set_attribute + b"N}X\x09\x00\x00\x00__class__cbuiltins\nobject\ns\x86b.",
        "a state that is called": pickle.dumps(Reduced(RECONSTRUCT, numpy_array, Reduced(exec, (source,)))),
        "an array of objects": pickle.dumps(np.asarray([Reduced(exec, (source,))], dtype=object)),
        "an array of a bad type": pickle.dumps(Reduced(RECONSTRUCT, numpy_array, (1, (3,), "f4", False, b"1" * 12))),
        "an array of pointers": pickle.dumps(
            Reduced(RECONSTRUCT, numpy_array, (1, (2,), np.dtype("O"), False, bytes(16)))
        ),
        "an array of lies": pickle.dumps(
            Reduced(RECONSTRUCT, numpy_array, (1, (2**40,), np.dtype("f4"), False, bytes(4)))
        ),
        "a scalar of pointers": pickle.dumps(Reduced(SCALAR, (np.dtype("O"), bytes(8)))),
        "a structured type": pickle.dumps(
            Reduced(np.dtype, ("O", False, True), (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0))
        ),
        "a code object": b"ctypes\nCodeType\n)R.",
        "a class": pickle.dumps(builtins.object),
        "a path": pickle.dumps(marker),
    }


def _bombs() -> dict[str, bytes]:
    doubling = b"\x80\x02]q\x00" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60)) + b"."
    return {
        "a list in itself": b"\x80\x02]q\x00h\x00a.",
        "a dict in itself": b"\x80\x02}q\x00K\x01h\x00s.",
        "lists of lists that repeat": doubling,
        "deep lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        "deep tuples": b"\x80\x02)" + b"\x85" * 200_000 + b".",
        "a memo of 2 GiB": b"\x80\x04Nr\xff\xff\xff\x7f.",
        "a memo of text": b"Np99999999999\n.",
        "BINBYTES8 of 1 TiB": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"a.",
        "BINUNICODE8 of 2**63": b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"a.",
        "BYTEARRAY8 of 1 TiB": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"a.",
        "LONG4 of 2 GiB": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"a.",
        "FRAME of 2**63": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.",
        "an empty stack": b"\x80\x02.",
        "marks": b"(" * 100_000,
    }
