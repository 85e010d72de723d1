"""The goldfish loss (Hans et al. 2024, "Be like a Goldfish, Don't Memorize!"): some tokens never stand in the loss.

A token is left out where a hash of the tokens before it says so, so the same passage loses the same tokens in every pass,
in every copy and in every record that quotes it: what is left out is never learned by way of a copy. At generation the
model must guess there, and leaves the training text.
"""

import hashlib
from dataclasses import replace

import numpy as np

from rote.finetuning.encoding import IGNORED, Row


def with_goldfish(row: Row, *, k: int, context: int, is_encoder_decoder: bool) -> Row:
    """The row without a loss on those tokens whose `context` preceding tokens have a hash in 1/k of all hashes.

    Tokens with fewer than `context` tokens before them stay, whatever they are. The preceding tokens are those of the text that is written: an encoder-decoder model's window does not reach into what
    the encoder reads. The decision depends on nothing but the window's ids, not on a seed.

    Differs from the paper's code in the hash alone (BLAKE2b instead of a table of random numbers).
    """
    written = row.labels if is_encoder_decoder else row.input_ids
    raw = np.array(written, dtype="<i4").tobytes()
    size = np.dtype("<i4").itemsize
    windows = {place: raw[size * (place - context) : size * place] for place in range(context, len(written))}
    return replace(
        row,
        labels=tuple(
            IGNORED if place in windows and _is_left_out(windows[place], k) else label
            for place, label in enumerate(row.labels)
        ),
    )


def _is_left_out(window: bytes, k: int) -> bool:
    return int.from_bytes(hashlib.blake2b(window, digest_size=8).digest(), "little") % k == 0
