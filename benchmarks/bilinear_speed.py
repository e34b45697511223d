"""How long it takes to decompose every class of a bilinear network, and how much memory.

    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive python benchmarks/bilinear_speed.py --rounds 4

(Threads that wait actively take the cores from each other where other programs run as well.)
784 inputs, 1,024 hidden units, 10 classes: all eigenfeatures of all classes, with and without an
embedding; beside it a wide input, where the thin solver works in the span of the neurons, against
the dense solver on the same network. By turns in one process. Processor time stands beside the
time on the clock: it is what the work costs where other programs run as well.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

import allmlp
from allmlp.bench import describe_machine, take_turns
from allmlp.files import write_text
from allmlp.interpret.bilinear import eigenfeatures, hosvd, truncate
from allmlp.interpret.bilinear.quadratic import read_input
from allmlp.interpret.bilinear.spectrum import dense_spectrum, thin_spectrum

RESULT = Path(__file__).parent / "results" / "bilinear_speed.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    machine = describe_machine()
    torch.manual_seed(0)
    plain = allmlp.BilinearMLP(784, 10, hidden=1024)
    embedded = allmlp.BilinearMLP(784, 10, hidden=1024, embed=1024)
    wide = read_input(allmlp.BilinearMLP(2048, 10, hidden=128))
    first = torch.eye(10, dtype=torch.float64)[0]
    cpu: dict[str, list[float]] = {}

    def counted(name: str, call: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            started = time.process_time()
            call()
            cpu.setdefault(name, []).append(time.process_time() - started)

        return run

    contestants: dict[str, Callable[[], object]] = {
        "eigenfeatures, 784 inputs, hidden 1024": partial(eigenfeatures, plain),
        "eigenfeatures in input space, embedding 1024": partial(
            eigenfeatures, embedded, space="input"
        ),
        "truncate to 10 a class": partial(truncate, plain, 10),
        "hosvd": partial(hosvd, plain),
        "one class, 2048 inputs, hidden 128, thin": partial(thin_spectrum, wide, first),
        "one class, 2048 inputs, hidden 128, dense": partial(dense_spectrum, wide, first),
    }
    times = take_turns(
        {name: counted(name, call) for name, call in contestants.items()},
        rounds=arguments.rounds,
        warmup=1,
    )
    result = {
        "machine": machine,
        "classes": 10,
        "seconds": {
            name: {
                "min": round(t.min, 3),
                "median": round(t.median, 3),
                "processor": round(min(cpu[name]), 3),
            }
            for name, t in times.items()
        },
        # of the whole process, torch's own 250 MiB included
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    write_text(arguments.out, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
