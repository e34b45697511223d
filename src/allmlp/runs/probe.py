"""How much the frozen features of a model know: nearest neighbours and a linear classifier.

Axes: n examples, d features.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from allmlp.data import ImageSet, ImageStream, Preprocess, Splits, iterate_batches
from allmlp.errors import AllmlpError, check_integers
from allmlp.models.contract import VisionModel
from allmlp.runs.config import DataConfig
from allmlp.runs.images import prepare_images

__all__ = ["ProbeResult", "pooled_features", "probe"]

# of the logistic regression, on standardised features: from all but constant to all but free
PENALTIES = tuple(10.0**power for power in range(-4, 3))


@dataclass(frozen=True)
class ProbeResult:
    """Accuracies on the test part, as fractions."""

    train: int  # examples that the probes saw
    test: int  # examples they were scored on
    features: int  # d
    knn: float
    linear: float | None  # None if it was not asked for
    penalty: float | None  # scikit-learn's C, chosen on val


def probe(
    model: VisionModel,
    preprocess: Preprocess,
    splits: Splits,
    *,
    k: int = 20,
    linear: bool = False,
    config: DataConfig | None = None,
    batch_size: int = 64,
) -> ProbeResult:
    """Score frozen pooled features on data the model need not have seen, nor know the classes of.

    k-NN: the majority among the `k` training images of the largest cosine. Linear: multinomial
    logistic regression on features scaled to mean 0 and deviation 1; its L2 penalty is the one of
    `PENALTIES` that is best on val. The test part chooses nothing.

    Args:
        model: stays as it is; runs on the device it is on.
        preprocess: what the model expects.
        splits: the data; train is learned from.
        k: neighbours.
        linear: fit the linear classifier too; takes minutes on tens of thousands of images.
        config: limits on broken images and memory; None takes the defaults.
        batch_size: images in one pass.

    Raises:
        AllmlpError: fewer training images than `k`, sets with other channels than the model's, or
            too many broken images.
    """
    check_integers("probe", minimum=1, k=k, batch_size=batch_size)
    if k > len(splits.train):
        raise AllmlpError(
            f"{k} neighbours need as many training images, there are {len(splits.train)}; "
            "choose a smaller k"
        )

    def describe(part: str) -> tuple[np.ndarray, np.ndarray]:
        prepared = prepare_images(splits.part(part), preprocess, config or DataConfig())
        features, labels = pooled_features(model, preprocess, prepared, batch_size)
        return features.numpy(), labels.numpy()

    train, test = describe("train"), describe("test")
    neighbours = KNeighborsClassifier(k, metric="cosine").fit(*train)
    accuracy, penalty = _fit_linear(train, describe("val"), test) if linear else (None, None)
    return ProbeResult(
        train=len(train[1]),
        test=len(test[1]),
        features=train[0].shape[1],
        knn=float(neighbours.score(*test)),
        linear=accuracy,
        penalty=penalty,
    )


@torch.inference_mode()
def pooled_features(
    model: VisionModel, preprocess: Preprocess, images: ImageSet | ImageStream, batch_size: int = 64
) -> tuple[Float[Tensor, "n d"], Tensor]:
    """What the head would see, of every readable image in order, and the labels; on the CPU."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    features, labels = [], []
    for batch, truth in iterate_batches(images.to(device), preprocess, batch_size):
        pooled = model.forward_head(model.forward_features(batch), pre_logits=True)
        features.append(pooled.float().cpu())
        labels.append(truth.cpu())
    model.train(was_training)
    return torch.cat(features), torch.cat(labels)


def _fit_linear(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
) -> tuple[float, float]:
    """Accuracy on test and the penalty that was best on val; of equal ones the stronger."""
    fitted = {
        penalty: make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=2000)).fit(
            *train
        )
        for penalty in PENALTIES
    }
    best = max(PENALTIES, key=lambda penalty: (fitted[penalty].score(*val), -penalty))
    return float(fitted[best].score(*test)), best
