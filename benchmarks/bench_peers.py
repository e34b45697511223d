"""`allmlp bench`, with timm's networks where torchvision is not usable; takes its arguments.

    python benchmarks/bench_peers.py --peers --dtype fp32 bf16 --out runs/bench

timm imports torchvision, of which no build exists for every torch; allmlp itself never needs it.
The committed record is the bench.json of that call, `results/bench_cpu.json`.
"""

from torchvision_stub import declare_operators

# outside the guard: the fresh processes that memory is measured in import this file, too
declare_operators()

if __name__ == "__main__":
    import sys

    from allmlp.cli import main

    main(["bench", *sys.argv[1:]])
