"""The process that reads an LMDB: `python lmdb_process.py FILE START [KEY...]`. It imports nothing of the package.

LMDB trusts the numbers in its pages, so that a damaged file can end the process that reads it. This one may end.

It writes to standard output the sizes of the LMDB (`SIZES`), the entries of the keys, and then all other entries but
the first START in the order of keys. An entry is its lengths (`LENGTHS`), key and value; a missing one has the length
MISSING. An error of LMDB ends the process with its message on standard error and exit code 1.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from itertools import islice

SIZES = struct.Struct("<QQ")  # the bytes that the file must have, and the number of entries
LENGTHS = struct.Struct("<QQ")
MISSING = 2**64 - 1


def main(arguments: list[str]) -> int:
    """Write what the arguments ask for to standard output, and return the exit code."""
    import lmdb

    file, start, *keys = map(os.fsencode, arguments)
    try:
        with lmdb.open(file, subdir=False, readonly=True, lock=False, readahead=False) as environment:
            pages, page_size = environment.info()["last_pgno"] + 1, environment.stat()["psize"]
            _write(SIZES.pack(pages * page_size, environment.stat()["entries"]))
            sys.stdout.buffer.flush()  # if the file is too short, this is all that is read
            with environment.begin() as transaction:
                for key in keys:
                    _write_entry(key, transaction.get(key))
                entries: Iterator[tuple[bytes, bytes]] = iter(transaction.cursor())
                for key, value in islice((entry for entry in entries if entry[0] not in keys), int(start), None):
                    _write_entry(key, value)
        sys.stdout.buffer.flush()
    except lmdb.Error as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader needs no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _write_entry(key: bytes, value: bytes | None) -> None:
    _write(LENGTHS.pack(len(key), MISSING if value is None else len(value)) + key)
    _write(value or b"")


def _write(content: bytes) -> None:
    sys.stdout.buffer.write(content)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
