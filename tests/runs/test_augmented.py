"""The kept training images are the ones that were learned from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from allmlp.data import iterate_shares
from allmlp.runs import fitting
from allmlp.runs.augmented import read_augmented
from allmlp.runs.train import train


@pytest.mark.parametrize("cache_gib", [2.0, 0.0])
@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_they_are_the_first_that_were_learned_from(
    small: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: Callable[[Mapping[str, bytes]], str],
    pictures: Callable[..., dict[str, bytes]],
    mixup: float,
    cache_gib: float,
) -> None:
    learned: list[tuple[torch.Tensor, torch.Tensor]] = []

    def listen(*arguments: Any, **options: Any) -> Any:
        for batch in iterate_shares(*arguments, **options):
            if "shuffle" in options:
                learned.append(batch)
            yield batch

    monkeypatch.setattr(fitting, "iterate_shares", listen)
    source = place(pictures(*(f"{part}/{c}" for part in ("train", "val", "test") for c in "ab")))
    small["model"]["name"] = "mixer_nano"
    small["data"] = {"source": source, "img_size": 8, "cache_gib": cache_gib, "workers": 0}
    small["train"]["batch_size"] = 6
    small["augment"] = {"mixup": mixup, "flip": 0.5, "policy": "randaugment"}
    run = train(small, run=str(tmp_path / "run"), progress=False)

    kept = read_augmented(run.path / "eval")
    images = torch.cat([images for images, _ in learned])
    labels = torch.cat([labels for _, labels in learned])
    assert len(kept) == (6 if mixup else 8)  # of one batch, or of the whole part
    for entry, image, label in zip(kept, images, labels, strict=False):
        with Image.open(run.path / "eval" / entry.file) as picture:
            shown = torch.from_numpy(np.array(picture)).movedim(-1, 0)
        mean, std = (
            torch.tensor(v)[:, None, None] for v in (run.preprocess.mean, run.preprocess.std)
        )
        torch.testing.assert_close(shown.float(), 255 * (image * std + mean), atol=0.51, rtol=0)
        if label.ndim == 0:
            assert entry.label == run.classes[label]
            continue
        shares = {name: float(share) for name, share in zip(run.classes, label, strict=True)}
        if max(shares.values()) == 1:
            assert shares[entry.label] == 1
        else:
            told = {name: part for part, name in map(str.split, entry.label.split(" + "))}
            assert {n: float(share) for n, share in told.items()} == pytest.approx(
                shares, abs=0.006
            )
