"""RepMLPNet before and after its merge: the same function in three forms, by turns.

    python benchmarks/repmlp_speed.py
    OMP_NUM_THREADS=1 python benchmarks/repmlp_speed.py --cpu-time   # on a machine that is shared

`training` has convolution branches and batch norms (in eval mode), `injected` is the authors'
deploy form, `deploy` is what `allmlp.deploy.reparameterize` returns. Outputs are compared first.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from allmlp.bench import describe_machine, take_turns
from allmlp.deploy import inject_locality, reparameterize
from allmlp.zoo import create_model

RESULTS = Path(__file__).parent / "results"


def trained(name: str) -> Any:
    """As after training: no norm is an identity."""
    model = create_model(name).eval()
    for key, tensor in model.state_dict().items():
        if "running_var" in key or key.endswith("norm.weight"):
            nn.init.uniform_(tensor, 0.5, 1.5)
        elif "running_mean" in key or key.endswith("norm.bias"):
            nn.init.normal_(tensor, std=0.1)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--models", nargs="+", default=["repmlpnet_t224", "repmlpnet_b224"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--cpu-time", action="store_true", help="processor time of this thread")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device = arguments.device
    clock = time.thread_time if arguments.cpu_time else time.perf_counter
    machine = {
        **describe_machine(device),
        "rounds": arguments.rounds,
        "clock": clock.__name__,
    }
    print(json.dumps(machine), flush=True)
    rows = []
    for name in arguments.models:
        training = trained(name).to(device)
        forms = {
            "training": training,
            "injected": inject_locality(training),
            "deploy": reparameterize(training),
        }
        for batch in arguments.batches:
            images = torch.randn(batch, 3, *training.config.img_size, device=device)
            with torch.inference_mode():
                expected = training(images)
                for model in forms.values():
                    torch.testing.assert_close(model(images), expected, rtol=1e-3, atol=1e-4)
                times = take_turns(
                    {form: partial(model, images) for form, model in forms.items()},
                    rounds=arguments.rounds,
                    device=device,
                    clock=clock,
                )
            row: dict[str, Any] = {"model": name, "batch": batch}
            row |= {f: [round(1e3 * t.min, 2), round(1e3 * t.median, 2)] for f, t in times.items()}
            for form in ("injected", "deploy"):
                one, other = times[form], times["training"]
                row[f"{form}/training"] = [
                    round(one.min / other.min, 3),
                    round(one.median / other.median, 3),
                ]
            rows.append(row)
            print(json.dumps(row), flush=True)
    out = arguments.out or RESULTS / f"repmlp_speed_{device.partition(':')[0]}.json"
    out.parent.mkdir(exist_ok=True, parents=True)
    result = {"machine": machine, "milliseconds": "[min, median]", "rows": rows}
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
