"""Forward passes and training steps of allmlp's and timm's networks, by turns in one process.

    python benchmarks/vision_speed.py                      # all of it, some half an hour
    python benchmarks/vision_speed.py --device cuda --batches 1 128 --compile
    python benchmarks/vision_speed.py --rounds 3 --only gmlp_s16

Both sides compute the same function: timm's weights are converted to ours and the outputs compared
before the clock starts. timm's own default for the Mixer is the erf GELU, which torch computes
faster than the tanh form of Google's weights, so both flavours are measured, and `ours/timm
default` sets each against timm as it comes. `products/ours` is the floor: the matrix products and
convolutions alone, in the same shapes and dtype. `kept_mb` is what autograd keeps for the backward
pass beside parameters. Rows of earlier runs that are not measured again stay in the file. On a
machine that others use as well, `--clock cpu` on one thread counts this process's own seconds.
Needs timm.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision_stub import declare_operators

from allmlp.bench import Timing, describe_machine, take_turns, training_step
from allmlp.zoo.convert import convert_state
from allmlp.zoo.registry import build_vision_model

declare_operators()

import timm  # noqa: E402
from timm.layers import GELUTanh  # noqa: E402

RESULTS = Path(__file__).parent / "results"
# ours -> timm's name; the largest batch of a forward pass on a CPU is scaled by cost
NAMES = {
    "mixer_s32": "mixer_s32_224",
    "mixer_b16": "mixer_b16_224",
    "resmlp_s12": "resmlp_12_224",
    "gmlp_ti16": "gmlp_ti16_224",
    "gmlp_s16": "gmlp_s16_224",
    "convmixer_1024_20": "convmixer_1024_20_ks9_p14",
}
# trained on a CPU: the smallest of each family; timm has no Scaling MLPs
TRAINED = ("mixer_s32", "resmlp_s12", "gmlp_ti16", "gmlp_s16", "convmixer_1024_20")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Clock = Callable[[], float]
PRODUCTS = (
    torch.ops.aten.addmm.default,
    torch.ops.aten.mm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.baddbmm.default,
    torch.ops.aten.convolution.default,
)


def pair(name: str, gelu: str | None, compiled: bool) -> tuple[nn.Module, nn.Module]:
    """Ours and timm's with equal weights and equal outputs."""
    options = {"act_layer": GELUTanh} if gelu == "tanh" else {}
    theirs = timm.create_model(NAMES[name], **options)
    nn.init.normal_(theirs.get_classifier().weight, std=0.02)
    found = convert_state(theirs.state_dict())
    config = found.config if gelu is None else replace(found.config, gelu=gelu)
    ours = build_vision_model(found.family, asdict(config))
    ours.load_state_dict(found.state)
    images = torch.randn(2, 3, *config.img_size)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-3, atol=1e-4)
    if compiled:
        ours.compile(fullgraph=True)
        theirs.compile(fullgraph=True)
    return ours, theirs


class _Recorder(TorchDispatchMode):
    """Remembers every product that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in PRODUCTS:
            held = tuple(a.detach() if isinstance(a, torch.Tensor) else a for a in args)
            self.calls.append((func, held))
        return func(*args, **(kwargs or {}))


def products(model: nn.Module, images: torch.Tensor) -> Callable[[], None]:
    """The products and convolutions of one forward pass and nothing else."""
    with _Recorder() as recorder:
        model.train()(images)  # where gradients are wanted, nothing is fused into a product
    model.eval()

    def run() -> None:
        for function, arguments in recorder.calls:
            function(*arguments)

    return run


def kept_megabytes(model: nn.Module, images: torch.Tensor, bf16: bool) -> float:
    """Bytes that autograd keeps between forward and backward, parameters left out, each once."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast(images.device.type, torch.bfloat16, enabled=bf16),
    ):
        model(images)
    return round(sum(storage.nbytes() for storage in kept.values()) / 1e6, 1)


def flavours(name: str) -> tuple[str | None, ...]:
    return ("tanh", "erf") if name.startswith("mixer") else (None,)


def measure_forward(
    name: str,
    batch: int,
    dtype: torch.dtype,
    device: str,
    rounds: int,
    compiled: bool,
    clock: Clock,
) -> list[dict[str, Any]]:
    contestants: dict[str, Any] = {}
    for gelu in flavours(name):
        for owner, model in zip(("ours", "timm"), pair(name, gelu, compiled), strict=True):
            model.eval().to(device, dtype)
            images = torch.randn(batch, 3, 224, 224, device=device, dtype=dtype)
            contestants[f"{owner} {gelu}"] = lambda m=model, x=images: m(x)
            if owner == "ours":
                contestants["products"] = products(model, images)
    with torch.inference_mode():
        times = take_turns(contestants, rounds=rounds, device=device, clock=clock)
    kind = str(dtype).removeprefix("torch.")
    return rows_of(f"{name} forward, batch {batch}, {kind}", times, flavours(name))


def measure_training(
    name: str, batch: int, bf16: bool, device: str, rounds: int, compiled: bool, clock: Clock
) -> list[dict[str, Any]]:
    contestants: dict[str, Any] = {}
    images = torch.randn(batch, 3, 224, 224, device=device)
    labels = torch.randint(0, 1000, (batch,), device=device)
    dtype = torch.bfloat16 if bf16 else None
    kept: dict[str, float] = {}
    for gelu in flavours(name):
        for owner, model in zip(("ours", "timm"), pair(name, gelu, compiled), strict=True):
            model.train().to(device)
            kept[f"{owner} {gelu}"] = kept_megabytes(model, images, bf16)
            contestants[f"{owner} {gelu}"] = training_step(model, images, labels, dtype)
    times = take_turns(contestants, rounds=rounds, device=device, clock=clock)
    kind = "bfloat16 autocast" if bf16 else "float32"
    rows = rows_of(f"{name} training step, batch {batch}, {kind}", times, flavours(name))
    for row, gelu in zip(rows, flavours(name), strict=True):
        row["kept_mb"] = [kept[f"{owner} {gelu}"] for owner in ("ours", "timm")]
    return rows


def rows_of(
    what: str, times: dict[str, Timing], gelus: tuple[str | None, ...]
) -> list[dict[str, Any]]:
    rows = []
    for gelu in gelus:
        ours, theirs = times[f"ours {gelu}"], times[f"timm {gelu}"]
        row: dict[str, Any] = {
            "what": what,
            "gelu": gelu or "erf",
            "ours_ms": [round(1e3 * t, 2) for t in (ours.min, ours.median)],
            "timm_ms": [round(1e3 * t, 2) for t in (theirs.min, theirs.median)],
            "ours/timm": [
                round(ours.min / theirs.min, 3),
                round(ours.median / theirs.median, 3),
            ],
        }
        if gelu is not None:
            row["ours/timm default"] = round(ours.median / times["timm erf"].median, 3)
        if "products" in times:
            row["products/ours"] = round(times["products"].median / ours.median, 3)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=NAMES, nargs="+", default=list(NAMES))
    parser.add_argument("--what", choices=("forward", "training", "both"), default="both")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--compile", action="store_true", help="torch.compile both sides")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: on a busy machine")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device, rounds, compiled = arguments.device, arguments.rounds, arguments.compile
    clock = CLOCKS[arguments.clock]

    out = arguments.out or RESULTS / f"vision_speed_{device.partition(':')[0]}.json"
    out.parent.mkdir(exist_ok=True, parents=True)
    stored = json.loads(out.read_text())["rows"] if out.exists() else []
    rows = {(row["what"], row["gelu"]): row for row in stored}

    def add(measured: list[dict[str, Any]]) -> None:
        machine = describe_machine(device)
        about = {
            "timm": timm.__version__,
            "rounds": rounds,
            "compiled": compiled,
            "clock": arguments.clock,
        }
        for row in measured:
            print(json.dumps(row), flush=True)
            rows[row["what"], row["gelu"]] = {**row, "machine": {**machine, **about}}
        result = {"milliseconds": "[min, median]", "rows": list(rows.values())}
        out.write_text(json.dumps(result, indent=1) + "\n")

    for name in arguments.only:
        for dtype in (torch.float32, torch.bfloat16):
            for batch in arguments.batches if arguments.what != "training" else ():
                add(measure_forward(name, batch, dtype, device, rounds, compiled, clock))
        for bf16 in (False, True) if arguments.what != "forward" and name in TRAINED else ():
            batch = max(arguments.batches) * (4 if name == "mixer_s32" else 1)
            half = max(rounds // 2, 3)
            add(measure_training(name, batch, bf16, device, half, compiled, clock))


if __name__ == "__main__":
    main()
