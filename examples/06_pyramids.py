"""Maps at strides 4, 8, 16 and 32 of one photo, a head that adds them up, and a merged backbone.

python examples/06_pyramids.py
"""

import time

import torch
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from torch.nn import functional as F

import allmlp

SHALLOW = {"depths": (1, 1, 2, 1)}  # so that the example is quick; leave it out for the named nets


class AddedUp(nn.Module):
    """Maps taken to one width, enlarged to the finest, summed, and classified place by place."""

    def __init__(self, channels: list[int], width: int, num_classes: int):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(own, width, 1) for own in channels)
        self.out = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        size = maps[0].shape[2:]
        wide = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        return self.out(sum(F.interpolate(x, size, mode="bilinear") for x in wide))


def main() -> None:
    """Three pyramids look at one photo; then the third one absorbs its convolutions."""
    photo = torch.tensor(load_sample_image("china.jpg").copy())[:384]  # 384 x 640 pixels
    images = (photo.permute(2, 0, 1)[None] / 127.5 - 1).float()
    torch.manual_seed(0)
    for name, sizes in (
        ("cyclemlp_b1", {}),  # any size
        ("csmixer_t", {}),  # any size: groups at the border meet zeros
        ("repmlpnet_t224", {"img_size": 128}),  # whole tiles: 3 x 5 of 128 pixels
    ):
        backbone = allmlp.create_model(name, features_only=True, **SHALLOW, **sizes)
        info = backbone.feature_info
        with torch.no_grad():
            maps = backbone(images)  # in training mode: batch norms see their first batch
        print(name)
        for stride, channels, x in zip(info.reduction(), info.channels(), maps, strict=True):
            print(f"  stride {stride:2}: {channels} channels of {x.shape[2]} x {x.shape[3]}")
    logits = AddedUp(info.channels(), width=64, num_classes=21)(maps)
    print(f"  added up: a class for each of {logits.shape[2]} x {logits.shape[3]} places")

    model = backbone.model.eval()
    merged = allmlp.deploy.reparameterize(model)
    seconds, features = {}, {}
    with torch.no_grad():
        for net in (model, merged):
            start = time.perf_counter()
            features[net] = net.forward_intermediates(images, intermediates_only=True)
            seconds[net] = time.perf_counter() - start
    off = max(
        ((a - b).abs().max() / a.abs().max()).item()
        for a, b in zip(features[model], features[merged], strict=True)
    )
    print(
        f"merged: {len(list(model.modules()))} modules became {len(list(merged.modules()))}, "
        f"{seconds[model]:.2f} s became {seconds[merged]:.2f} s, maps off by {off:.0e}"
    )


if __name__ == "__main__":
    main()
