"""Attack a bilinear network without looking at a single image: masks read off its weights.

python examples/42_adversarial_masks.py
"""

import torch
from sklearn.datasets import load_digits

import allmlp
from allmlp.interpret.bilinear import adversarial_masks

TARGET = 3


def main() -> None:
    """Train without much noise, attack, and compare with the control."""
    images, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(images).float() / 16, torch.from_numpy(labels).long()
    torch.manual_seed(0)
    order = torch.randperm(len(x))
    train, test = order[:1400], order[1400:]
    model = allmlp.BilinearMLP(64, 10, hidden=128, input_noise=0.15)
    allmlp.fit(model, x[train], y[train], lr=3e-3, weight_decay=1.0, epochs=60, batch_size=128)
    model.eval()

    # each excites one feature of the class and none of its other nine; the control has its pixels
    # permuted
    masks = adversarial_masks(model, TARGET, 10)[:3].float()
    masks /= masks.norm(dim=1, keepdim=True)
    control = torch.stack([mask[torch.randperm(64)] for mask in masks])
    others = test[y[test] != TARGET]
    print(f"images of other classes answered as a {TARGET}:")
    print("strength   mask  control")
    with torch.no_grad():
        for strength in (0.0, 0.5, 1.0, 2.0, 3.0):
            shares = [
                sum(
                    (model(x[others] + strength * mask).argmax(1) == TARGET).float().mean().item()
                    for mask in chosen
                )
                / 3
                for chosen in (masks, control)
            ]
            print(f"{strength:>8.1f} {shares[0]:>6.1%} {shares[1]:>8.1%}")


if __name__ == "__main__":
    main()
