"""Train a small table of sizes, fit a law to it, and ask what to do with ten times the compute.

python examples/60_scaling_law.py
"""

import numpy as np

from allmlp.scaling import Settings, fit_power_law, make_trials, run_sweep

# one variable: the same small MLP on more and more digits
trials = make_trials(["mlp"], [32], [2], [60, 120, 240, 480, 960], seeds=1)
rows = run_sweep("runs/scale-example", trials, Settings(epochs=10))
for row in sorted(rows, key=lambda row: row["samples"]):
    print(f"{row['samples']:>5} images: error {row['error']:.3f}, {row['flops']:.1e} FLOPs")

law = fit_power_law(
    np.array([row["samples"] for row in rows]), np.array([row["loss"] for row in rows])
)
print(law)
low, high = law.predict_interval(9600.0)
print(f"loss with ten times the images: {law.predict(9600.0):.3f}, 95 % {low:.3f} … {high:.3f}")
