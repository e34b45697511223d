import random
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings

# wall-clock deadlines fail at random on a busy machine
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(scope="session")
def rational_layers() -> Any:
    """Makes random layers of small rationals from a seed and the sizes of the network."""

    def draw(seed: int, sizes: Any) -> Any:
        rng = random.Random(seed)

        def q() -> Any:
            return Fraction(rng.randrange(-9, 10), rng.randrange(1, 6))

        return [
            ([[q() for _ in range(a)] for _ in range(b)], [q() for _ in range(b)])
            for a, b in pairwise(sizes)
        ]

    return draw
