"""`ImageClassifier`: any vision model of the zoo on small images in memory.

Axes: n images, h w pixels, c channels, k classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import nn
from torch.optim import Optimizer

from allmlp.errors import AllmlpError
from allmlp.estimators.base import Readable
from allmlp.estimators.classifier import NetworkClassifier
from allmlp.estimators.saved import Saved
from allmlp.estimators.settings import Training, check_training
from allmlp.training import MemberClassification, Task, build_optimizer
from allmlp.zoo import create_model

__all__ = ["ImageClassifier"]


@dataclass(frozen=True, eq=False)
class _Images:
    """Checked images: (n, h, w, c), float32."""

    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: np.ndarray) -> "_Images":
        return _Images(self.pixels[rows])


@dataclass(kw_only=True, eq=False, repr=False)
class ImageClassifier(NetworkClassifier):
    """Classes of small images: arrays in, labels out, in scikit-learn's manner.

    For what fits into memory a few times over. Folders, augmentation, resuming and large models are
    what `allmlp.train` is for.

    `X` is (n, h, w), (n, h, w, c), or flattened rows (n, h·w·c) with `img_shape`; numbers of any
    range, without gaps. Every channel is standardised by the training images.

    Args:
        model: a name of `allmlp.list_models()`. `mlp` takes every size; a Mixer needs sides that
            its patches divide: `mixer_digits` those of 2, `mixer_nano` those of 4 pixels.
        overrides: other fields of the model's config, for example `{"patch_size": 7}`.
        img_shape: of flattened rows: (h, w) or (h, w, c).
        lr: peak of AdamW's learning rate, which then falls to 0 along a cosine.
        weight_decay: of matrices.
        batch_size: images a step.
        max_epochs: passes over the images.
        patience: epochs without a better score before training stops; None trains all epochs.
        validation_fraction: of the images, held out to score epochs, stratified; the best one is
            kept. 0 trains on all. With fewer than 20 images nothing is held out.
        metric: that scores epochs: `loss` (cross-entropy; on a few images it says more) or
            `accuracy`.
        max_time: seconds of training at most.
        ema: decay of an average of the weights, 0.99 say, that is scored and kept.
        label_smoothing: share of the target spread over all classes.
        class_weight: `balanced`, or a weight for each class.
        warm_start: let `fit` go on from the last fit.
        random_state: seed of everything random; global random states are left alone.
        device: cpu, cuda, mps …; `auto` takes an accelerator if there is one.
        verbose: 1 shows progress on stderr.

    Attributes:
        classes_: sorted labels.
        image_shape_: (h, w, c).
        n_features_in_: h·w·c.
        mean_: (c,) of the training images.
        spread_: (c,) their deviation.
        module_: the network, over (n, c, h, w).
        n_iter_: epochs trained.
        loss_curve_: training loss by epoch.
        validation_scores_: score by epoch, None without validation.
        history_: all of `allmlp.fit`'s records of the last fit.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> digits = load_digits()
        >>> model = ImageClassifier(max_epochs=4, random_state=0)
        >>> model.fit(digits.images[:600], digits.target[:600]).image_shape_
        (8, 8, 1)
        >>> model.score(digits.images[600:900], digits.target[600:900]) > 0.8
        True
    """

    model: str = "mlp"
    overrides: Mapping[str, Any] | None = None
    img_shape: tuple[int, ...] | None = None
    lr: float = 1e-3
    weight_decay: float = 0.05
    batch_size: int | None = 64
    max_epochs: int = 40
    patience: int | None = None
    validation_fraction: float = 0.1
    metric: str = "loss"
    max_time: float | None = None
    ema: float | None = None
    label_smoothing: float = 0.1
    class_weight: str | Mapping[Any, float] | None = None
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    device: str = "cpu"
    verbose: int = 0

    def _training(self) -> Training:
        training = Training(
            lr=self.lr,
            clip=1.0,
            schedule="cosine",
            max_epochs=self.max_epochs,
            patience=self.patience,
            metric=self.metric,
            batch_size=self.batch_size,
            validation_fraction=self.validation_fraction,
            max_time=self.max_time,
            ema=self.ema,
        )
        check_training(type(self).__name__, training)
        return training

    def _build(self, num_outputs: int) -> nn.Module:
        height, width, channels = self.image_shape_
        return create_model(
            self.model,
            img_size=(height, width),
            in_chans=channels,
            num_classes=num_outputs,
            **(self.overrides or {}),
        )

    def _optimizer(self, module: nn.Module) -> Optimizer:
        return build_optimizer("adamw", module, lr=self.lr, weight_decay=self.weight_decay)

    def _task(self) -> Task:
        return MemberClassification(self.metric, self.label_smoothing)

    def _read(self, X: Any, *, reset: bool) -> _Images:
        if not reset:
            check_is_fitted(self)
        pixels = check_array(
            X,
            dtype=np.float32,
            allow_nd=True,
            estimator=self,
            input_name="X",
            ensure_min_features=1,
        )
        if pixels.ndim == 2:
            validate_data(self, X, reset=reset, skip_check_array=True)
            pixels = pixels.reshape(len(pixels), *self._flat_shape(pixels.shape[1]))
        if pixels.ndim == 3:
            pixels = pixels[..., None]
        if pixels.ndim != 4:
            raise AllmlpError(
                f"images are (n, h, w), (n, h, w, c), or rows with img_shape; got {np.shape(X)}"
            )
        shape = tuple(pixels.shape[1:])
        if reset:
            self.image_shape_ = shape
            self.n_features_in_ = int(np.prod(shape))
        elif shape != self.image_shape_:
            raise AllmlpError(
                f"the model was trained on images of {self.image_shape_}, got {shape}; resize them"
            )
        return _Images(pixels)

    def _flat_shape(self, count: int) -> tuple[int, ...]:
        if self.img_shape is None:
            raise AllmlpError(
                f"rows of {count} numbers say nothing of height and width; set img_shape=(h, w) or "
                "(h, w, c), or pass images as (n, h, w[, c])"
            )
        shape = tuple(self.img_shape)
        if len(shape) not in (2, 3) or int(np.prod(shape)) != count:
            raise AllmlpError(
                f"img_shape is (h, w) or (h, w, c) whose product is the length of a row, {count}; "
                f"got {shape}"
            )
        return shape

    def _learn_encoder(self, inputs: Readable, rows: np.ndarray, seed: int) -> None:
        assert isinstance(inputs, _Images)  # `_read` makes no other
        some = inputs.pixels[rows]
        self.mean_ = some.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
        spread = some.std(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
        self.spread_ = np.where(spread > 0, spread, np.float32(1))

    def _encode(self, inputs: Readable) -> np.ndarray:
        assert isinstance(inputs, _Images)
        scaled = (inputs.pixels - self.mean_) / self.spread_
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def _input_state(self) -> Saved:
        record = {"shape": list(self.image_shape_)}
        if hasattr(self, "feature_names_in_"):
            record["names"] = self.feature_names_in_.tolist()
        tensors = {"mean": torch.from_numpy(self.mean_), "spread": torch.from_numpy(self.spread_)}
        return Saved(record, tensors)

    def _load_input_state(self, saved: Saved) -> None:
        self.image_shape_ = tuple(saved.record["shape"])
        self.n_features_in_ = int(np.prod(self.image_shape_))
        self.mean_, self.spread_ = (saved.tensors[name].numpy() for name in ("mean", "spread"))
        if "names" in saved.record:
            self.feature_names_in_ = np.array(saved.record["names"], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
