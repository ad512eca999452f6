"""Write every computed format's unpacked weights to a file: formats.py OUT. The same program in each host."""

import ctypes
import os
import random
import sys
from pathlib import Path

library = ctypes.CDLL(os.environ["GEMEL_LIBRARY"])
unpack = library.gemel_format_unpack
unpack.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_float), ctypes.c_size_t]

seeded = random.Random(1)
written = b""
for type_number in range(64):
    if library.gemel_format_computed(type_number) == 1:
        block, size = library.gemel_format_block(type_number), library.gemel_format_block_size(type_number)
        raw = seeded.randbytes(32 * size)
        weights = (ctypes.c_float * (32 * block))()
        assert unpack(type_number, raw, len(raw), weights, len(weights)) >= 0
        # NaN payloads may vary between engines: a NaN is written as one fixed word.
        written += b"".join(bytes(4) if w != w else bytes(ctypes.c_float(w)) for w in weights)
Path(sys.argv[1]).write_bytes(written)
