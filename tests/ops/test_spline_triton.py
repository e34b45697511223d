"""The kernels for cards through the compiler, which needs no card and sees what types hide."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from allmlp.ops import fused
from allmlp.ops.expansion import Expansion
from allmlp.ops.fused import fused_product, kernels

pytestmark = pytest.mark.skipif(
    kernels() is None or fused.INTERPRETED, reason="needs Triton, not interpreted"
)
# what a program may have on the cards with the least, 8.6, 8.9 and 12.0
SHARED_MEMORY = 101_376
DTYPES = {
    "half": torch.bfloat16,
    "tf32": torch.float32,
    "float32": torch.float32,
    "float64": torch.float64,
}


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], list[Any]]:
    """Kernels are compiled for a card of this capability where they would be launched."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    def on(capability: int) -> list[Any]:
        class Card:
            def get_current_device(self) -> int:
                return capability  # a number for each: what is compiled is kept by it

            def get_current_stream(self, device: int) -> int:
                return 0

            def get_current_target(self) -> Any:
                return GPUTarget("cuda", capability, 32)

        made: list[Any] = []
        run = JITFunction.run

        def compile_only(self: Any, *arguments: Any, warmup: bool, **options: Any) -> None:
            made.append(run(self, *arguments, warmup=True, **options))

        monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        monkeypatch.setattr(driver, "_active", Card())
        monkeypatch.setattr(JITFunction, "run", compile_only)
        return made

    return on


def every(*fast: tuple[str, str, int]) -> list[Any]:
    cases = [(wanted, made, c) for wanted in "yws" for made in DTYPES for c in (80, 90)]
    return [pytest.param(*case, marks=() if case in fast else pytest.mark.slow) for case in cases]


@pytest.mark.parametrize(
    ("wanted", "made", "capability"), every(("w", "half", 90), ("s", "tf32", 80))
)
def test_kernels_compile(
    wanted: str,
    made: str,
    capability: int,
    compiled: Callable[[int], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fused, "_made", lambda _: made)
    dtype = DTYPES[made]
    exact = torch.float64 if made == "float64" else torch.float32
    x, s = torch.zeros(2, 1024, 32, dtype=exact)
    y, w = torch.zeros(1024, 128, dtype=dtype), torch.zeros(128, 8, 32, dtype=dtype)
    knots = torch.arange(12, dtype=exact).repeat(32, 1)
    slots, out = {
        "y": ((s, None, w), y),
        "w": ((s, y, None), w),
        "s": ((None, y, w), x),
    }[wanted]
    expansion, launched = Expansion.of("bspline", k=3, outside="linear"), compiled(capability)
    fused_product(expansion, int(wanted == "s"), x, *slots, knots, out)
    (kernel,) = launched
    assert kernel.metadata.shared <= SHARED_MEMORY
    code = kernel.asm["ptx"]
    assert not re.search(r"(?<![\w.])(atom|red)\.", code)  # no atomics
    if made in ("half", "tf32"):
        assert ("wgmma.mma_async" if capability == 90 else "mma.sync") in code
