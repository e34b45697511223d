"""A Mixer whose channel MLPs are bilinear: every block decomposed, and checked against its forward.

python examples/41_bilinear_mixer.py
"""

import argparse
import tempfile

import torch

import allmlp
from allmlp.interpret.bilinear import effective_rank, eigenfeatures, hosvd


def main() -> None:
    """Train, then take every channel MLP apart."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = allmlp.train(
            # three matrices instead of two: as many weights as a GELU Mixer of hidden width 3/2
            {"model": {"overrides": {"mlp": "bilinear"}}},
            model="mixer_digits",
            epochs=arguments.epochs,
            run=f"{folder}/run",
        )
        print(f"test accuracy {run.scores()['accuracy']:.1%}")
        model = run.model.eval()

    tokens = torch.randn(64, model.config.width, dtype=torch.float64)
    for number, block in enumerate(model.blocks):
        mlp = block.channel_mlp.cpu()
        features = eigenfeatures(mlp)  # of every output channel
        with torch.no_grad():
            truth = mlp.double()(tokens)
        error = (features.logits(tokens) - truth).abs().max().item()
        shared = hosvd(mlp, rank=3).values
        print(
            f"block {number}: forward pass off by {error:.0e}, effective rank of a channel "
            f"{effective_rank(features.values).mean():.1f}, strongest shared forms "
            f"{', '.join(f'{value:.2f}' for value in shared)}"
        )


if __name__ == "__main__":
    main()
