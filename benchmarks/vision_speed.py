"""Forward passes and training steps of allmlp's and timm's Mixers, by turns in one process.

    python benchmarks/vision_speed.py                      # all of it, some ten minutes
    python benchmarks/vision_speed.py --device cuda --batches 1 128 --compile
    python benchmarks/vision_speed.py --rounds 3 --only mixer_s32

Both sides compute the same function: same GELU, same weights, checked before the clock starts.
timm's own default is the erf GELU, which torch computes faster than the tanh form of Google's
weights, so both flavours are measured, and `ours/timm default` sets each against timm as it comes.
`products/ours` is the floor: the matrix products alone, in the same shapes and dtype. Needs timm.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torchvision_stub import declare_operators

from allmlp.bench import Timing, describe_machine, take_turns
from allmlp.models.mixer import VARIANTS, Mixer, MixerConfig

declare_operators()

import timm  # noqa: E402
from timm.layers import GELUTanh  # noqa: E402
from timm.models.mlp_mixer import MlpMixer  # noqa: E402

RESULTS = Path(__file__).parent / "results"
RENAMES = {
    "token_norm": "norm1",
    "channel_norm": "norm2",
    "token_mlp": "mlp_tokens",
    "channel_mlp": "mlp_channels",
}


def timms(config: MixerConfig) -> nn.Module:
    """The same sizes in timm."""
    return MlpMixer(
        num_classes=config.num_classes,
        img_size=config.img_size[0],
        patch_size=config.patch_size,
        num_blocks=config.depth,
        embed_dim=config.width,
        act_layer=nn.GELU if config.gelu == "erf" else GELUTanh,
    )


def pair(config: MixerConfig, compiled: bool) -> tuple[nn.Module, nn.Module]:
    """Ours and timm's with equal weights."""
    ours, theirs = Mixer(config), timms(config)
    nn.init.normal_(ours.head.weight, std=0.02)
    state = {}
    for key, value in ours.state_dict().items():
        for mine, foreign in RENAMES.items():
            key = key.replace(mine, foreign)
        state[key] = value
    theirs.load_state_dict(state)
    images = torch.randn(2, 3, *config.img_size)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-3, atol=1e-4)
    if compiled:
        ours.compile(fullgraph=True)
        theirs.compile(fullgraph=True)
    return ours, theirs


def products(config: MixerConfig, batch: int, dtype: torch.dtype, device: str) -> Any:
    """The matrix products of one forward pass and nothing else."""
    n, d = config.num_tokens, config.width
    patch = 3 * config.patch_size**2
    rows = [(batch * n, patch, d)]
    rows += [
        (batch * d, n, config.token_hidden),
        (batch * d, config.token_hidden, n),
    ] * config.depth
    channel = config.channel_hidden
    rows += [(batch * n, d, channel), (batch * n, channel, d)] * config.depth
    made = {
        shape: (
            torch.randn(shape[0], shape[1], device=device).to(dtype),
            torch.randn(shape[2], shape[1], device=device).to(dtype),
        )
        for shape in set(rows)
    }

    def run() -> None:
        for shape in rows:
            F.linear(*made[shape])

    return run


def step(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, bf16: bool) -> Any:
    """One training step: forward, cross-entropy, backward, AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def run() -> None:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def measure_forward(
    name: str, batch: int, dtype: torch.dtype, device: str, rounds: int, compiled: bool
) -> dict[str, Timing]:
    contestants: dict[str, Any] = {}
    images = torch.randn(batch, 3, *VARIANTS[name].img_size, device=device, dtype=dtype)
    for gelu in ("tanh", "erf"):
        config = replace(VARIANTS[name], gelu=gelu)
        for owner, model in zip(("ours", "timm"), pair(config, compiled), strict=True):
            model.eval().to(device, dtype)
            contestants[f"{owner} {gelu}"] = lambda m=model: m(images)
    contestants["products"] = products(VARIANTS[name], batch, dtype, device)
    with torch.inference_mode():
        return take_turns(contestants, rounds=rounds, device=device)


def measure_training(
    name: str, batch: int, bf16: bool, device: str, rounds: int, compiled: bool
) -> dict[str, Timing]:
    contestants: dict[str, Any] = {}
    config = VARIANTS[name]
    images = torch.randn(batch, 3, *config.img_size, device=device)
    labels = torch.randint(0, config.num_classes, (batch,), device=device)
    for gelu in ("tanh", "erf"):
        both = pair(replace(config, gelu=gelu), compiled)
        for owner, model in zip(("ours", "timm"), both, strict=True):
            contestants[f"{owner} {gelu}"] = step(model.train().to(device), images, labels, bf16)
    return take_turns(contestants, rounds=rounds, device=device)


def rows_of(what: str, times: dict[str, Timing]) -> list[dict[str, Any]]:
    rows = []
    for gelu in ("tanh", "erf"):
        ours, theirs = times[f"ours {gelu}"], times[f"timm {gelu}"]
        row = {
            "what": what,
            "gelu": gelu,
            "ours_ms": [round(1e3 * t, 2) for t in (ours.min, ours.median)],
            "timm_ms": [round(1e3 * t, 2) for t in (theirs.min, theirs.median)],
            "ours/timm": [
                round(ours.min / theirs.min, 3),
                round(ours.median / theirs.median, 3),
            ],
            "ours/timm default": round(ours.median / times["timm erf"].median, 3),
        }
        if "products" in times:
            row["products/ours"] = round(times["products"].median / ours.median, 3)
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=("mixer_s32", "mixer_b16"))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--compile", action="store_true", help="torch.compile both sides")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device, rounds, compiled = arguments.device, arguments.rounds, arguments.compile

    machine = {
        **describe_machine(device),
        "timm": timm.__version__,
        "rounds": rounds,
        "compiled": compiled,
    }
    print(json.dumps(machine), flush=True)
    rows: list[dict[str, Any]] = []
    for name in (arguments.only,) if arguments.only else ("mixer_s32", "mixer_b16"):
        for dtype in (torch.float32, torch.bfloat16):
            for batch in arguments.batches:
                kind = str(dtype).removeprefix("torch.")
                times = measure_forward(name, batch, dtype, device, rounds, compiled)
                rows += rows_of(f"{name} forward, batch {batch}, {kind}", times)
    if arguments.only != "mixer_b16":
        for bf16 in (False, True):
            batch = 4 * max(arguments.batches)
            half = max(rounds // 2, 3)
            times = measure_training("mixer_s32", batch, bf16, device, half, compiled)
            kind = "bfloat16 autocast" if bf16 else "float32"
            rows += rows_of(f"mixer_s32 training step, batch {batch}, {kind}", times)
    out = arguments.out or RESULTS / f"vision_speed_{device.partition(':')[0]}.json"
    out.parent.mkdir(exist_ok=True, parents=True)
    result = {"machine": machine, "milliseconds": "[min, median]", "rows": rows}
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
