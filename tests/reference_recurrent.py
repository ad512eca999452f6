"""Recurrent layers in numpy: what a position reads of those before it is a state, token by token."""

from __future__ import annotations

import numpy as np
from gguf_file import F32


def convolved(w: F32, x: F32) -> F32:
    """Convolve each channel of x[n][channels] over its last positions by w[channels][taps], the oldest first."""
    taps, n = w.shape[1], len(x)
    padded = np.concatenate([np.zeros((taps - 1, x.shape[1]), np.float32), x])
    out: F32 = w[:, 0] * padded[:n]
    for i in range(1, taps):
        out = out + w[:, i] * padded[i : i + n]
    return out


def short_conv(projected: F32, w: F32) -> F32:
    """Return c * convolution(b * x) of rows of b, c and x, side by side: [n][3 * n_embd] -> [n][n_embd]."""
    b, c, x = np.split(projected, 3, axis=-1)
    out: F32 = c * convolved(w, b * x)
    return out
