"""Randomness that depends on what it is for, and on nothing that ran before.

A draw is a function of seed, epoch, purpose and the number of the *visit*: the position of the
image, plus the size of the data set for every earlier visit of the same image in this epoch. So
neither the batch that an image is in, nor the process that decodes it, nor where a run was resumed
changes what happens to it.

Axes: b batch, n draws.
"""

import hashlib

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

__all__ = ["draw_bytes", "draw_uniforms", "epoch_generator"]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def epoch_generator(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """A generator on the CPU that depends on these three and on nothing that ran before.

    Example:
        >>> first, again = (epoch_generator(0, 3, "order") for _ in range(2))
        >>> torch.equal(torch.randperm(9, generator=first), torch.randperm(9, generator=again))
        True
    """
    return torch.Generator().manual_seed(_key(seed, epoch, purpose))


def draw_uniforms(
    seed: int, epoch: int, purpose: str, visits: Int64[Tensor, " b"], count: int
) -> Float32[Tensor, "b n"]:
    """`count` numbers for each visit, uniform on [0, 1) in steps of 2^-24.

    The first numbers of a visit are the same whatever `count` is.

    Source: SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195), started at a hash
    of key and visit. Counting instead of remembering makes it O(batch), for data of any length.

    Example:
        >>> both = draw_uniforms(0, 3, "flip", torch.tensor([7, 40]), 1)
        >>> torch.equal(both[1:], draw_uniforms(0, 3, "flip", torch.tensor([40]), 1))
        True
    """
    words = _words(_key(seed, epoch, purpose), visits, count)
    return torch.from_numpy((words >> np.uint64(40)).astype(np.float32) * np.float32(2**-24))


def draw_bytes(
    seed: int, epoch: int, purpose: str, visits: Int64[Tensor, " b"], count: int
) -> UInt8[Tensor, "b n"]:
    """`count` bytes for each visit, uniform on 0 to 255; eight for the price of one number."""
    words = _words(_key(seed, epoch, purpose), visits, -(-count // 8))
    # the order of bytes is stated, so that machines of either kind draw alike
    return torch.from_numpy(words.astype("<u8").view(np.uint8)[:, :count].copy())


def _key(seed: int, epoch: int, purpose: str) -> int:
    digest = hashlib.blake2b(f"{seed}/{epoch}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _words(key: int, visits: Int64[Tensor, " b"], count: int) -> np.ndarray:
    states = _scramble(np.uint64(key) ^ _scramble(visits.numpy().astype(np.uint64) + _GAMMA))
    return _stream(states, count)


def _stream(states: np.ndarray, count: int) -> np.ndarray:
    """The first `count` words of SplitMix64 from each state."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GAMMA
    return _scramble(states[:, None] + steps)


def _scramble(words: np.ndarray) -> np.ndarray:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
