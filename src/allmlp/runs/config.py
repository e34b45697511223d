"""Everything that determines a run, as one tree of dataclasses. YAML files hold the same tree.

The defaults train a Mixer on handwritten digits. Needs no torch, so that the command line answers
`--help` at once.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "SHORT_NAMES",
    "AugmentConfig",
    "Config",
    "DataConfig",
    "ModelConfig",
    "RunConfig",
    "TrainConfig",
]


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where the run lives and what it runs on."""

    dir: str | None = _option(None, "folder to create; by default runs/DATA-MODEL-N")
    seed: int = _option(0, "of weights, order and augmentation")
    device: str = _option("auto", "cpu, cuda, cuda:1, mps …; auto takes an accelerator if there is")
    precision: Literal["auto", "fp32", "bf16"] = _option(
        "auto", "of matrix products; auto is bf16 where the device multiplies it natively"
    )
    compile: bool = _option(False, "compile the model (torch.compile); the first steps take longer")
    parallel: Literal["ddp", "fsdp"] = _option(
        "ddp", "under torchrun: a copy of the model in every process, or a shard (FSDP2)"
    )
    tensorboard: bool = _option(
        False, "write event files to tensorboard/ as well; needs the extra tensorboard"
    )
    profile: bool = _option(False, "write a trace of a few steps to trace.json (torch.profiler)")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is learned from."""

    source: str = _option(
        "digits", "name of a data set, path of a folder, zip, npz, csv, tar or parquet, hf:ORG/NAME"
    )
    target: str | None = _option(
        None, "column of the classes in parquet and hf: data; by default found by type or name"
    )
    img_size: int | tuple[int, int] | None = _option(
        None, "pixels, side or [height, width]; by default the model's"
    )
    samples: int | None = _option(
        None, "images of the training part to learn from, the same share of every class"
    )
    max_broken: float = _option(
        0.01, "share of images that may be unreadable (at least one may); 0 stops at the first"
    )
    cache_gib: float = _option(
        2.0, "size of a decoded part up to which it is kept in memory; larger ones are streamed"
    )
    workers: int | None = _option(
        None, "processes that decode; by default one for each core; changes no result"
    )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What learns."""

    name: str = _option("mixer_digits", "as `allmlp models` lists them")
    pretrained: str | None = _option(
        None, "weights to start from: a tag, a file, a run, hf:ORG/NAME"
    )
    resize: Literal["block", "interpolate"] | None = _option(
        None, "how weights move to another image size"
    )
    overrides: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "fields of the model's config, by name"}
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How it learns."""

    epochs: int = _option(100, "passes over the training part")
    batch_size: int = _option(64, "examples per step, over all processes")
    accumulate: int = _option(1, "slices a batch is computed in, to save memory")
    optimizer: str = _option(
        "adamw",
        "adamw, adam, sgd, lion, muon, schedule_free, or a class by dotted path, whose module is "
        "imported: trust it as code",
    )
    optimizer_options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "further arguments of the optimizer, by name"}
    )
    lr: float = _option(1e-2, "peak learning rate")
    weight_decay: float = _option(0.1, "of matrices only; decoupled but for adam and sgd")
    layer_decay: float | None = _option(
        None, "factor of the learning rate from each layer to the one below, 0.75 say"
    )
    schedule: str | None = _option(
        None,
        "constant, step, multistep, cosine, cosine_restarts, one_cycle, linear, wsd, flat_cos, "
        "coslog4 or plateau; by default cosine, and constant if the optimizer is schedule-free",
    )
    schedule_options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "arguments of the schedule, by name"}
    )
    warmup: float | None = _option(
        None, "epochs of linear warm-up; by default 5, but at most a fifth of the training"
    )
    clip: float | None = _option(1.0, "largest global gradient norm; null for none")
    loss: Literal["cross_entropy", "bce"] = _option(
        "cross_entropy", "of one class among all, or yes or no for each of them"
    )
    label_smoothing: float = _option(0.1, "share of the target spread over all classes")
    class_weights: Literal["balanced"] | dict[str, Any] | None = field(
        default=None,
        metadata={"help": "factors of the loss by class name, or balanced: each weighs the same"},
    )
    teacher: str | None = _option(None, "a run whose answers are learned as well")
    teacher_weight: float = _option(0.5, "share of the teacher in the loss, in [0, 1]")
    teacher_temperature: float | None = _option(
        None, "that softens its answers, 3 say; by default its most probable class is learned"
    )
    freeze: bool = _option(False, "train the head alone")
    ema: float | None = _option(
        None, "decay of an average of the weights, 0.999 say, which is then evaluated and kept"
    )
    metric: str | None = _option(
        None, "validation metric that chooses the best epoch; by default the task's, accuracy"
    )
    early_stop: int | None = _option(None, "epochs without a better value before training ends")
    log_every: int = _option(10, "steps between lines of metrics.jsonl")
    checkpoint_steps: int | None = _option(None, "steps between checkpoints within an epoch")
    checkpoint_seconds: float | None = _option(300.0, "seconds between checkpoints likewise")
    keep_every: int | None = _option(
        None, "epochs between checkpoints that are kept, besides the last and the best"
    )
    rollbacks: int = _option(
        0, "times to go back to the last checkpoint at half the learning rate after a NaN"
    )
    gradflow: int | None = _option(None, "steps between measurements of the gradient flow")

    @property
    def warmup_epochs(self) -> float:
        """What `warmup` says, or its default for so many epochs."""
        return min(5.0, self.epochs / 5) if self.warmup is None else self.warmup


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How training images are varied, in this order; docs/augmentation.md."""

    crop_scale: tuple[float, float] | None = _option(
        None, "random-resized-crop: smallest and largest share of the area, [0.08, 1] say"
    )
    crop_ratio: tuple[float, float] = _option(
        (3 / 4, 4 / 3), "its smallest and largest width over height"
    )
    policy: Literal["randaugment", "trivialaugment", "autoaugment"] | None = _option(
        None, "random operations on single pictures; autoaugment is the policy found on CIFAR-10"
    )
    layers: int = _option(2, "operations that RandAugment applies")
    magnitude: float = _option(9.0, "their strength; 10 is the top of the scale")
    magnitude_std: float = _option(0.0, "deviation of the strength; 0.5 in recipes from timm")
    space: Literal["paper", "big_vision", "timm"] = _option(
        "paper", "which operations RandAugment chooses from, and what a magnitude means"
    )
    pad: int = _option(0, "pad-crop: pixels of zeros around the image it is cut out of again")
    flip: float = _option(0.0, "probability of a horizontal flip")
    shift: float = _option(1.0, "largest random shift in pixels; the border fills with zero")
    rotate: float = _option(10.0, "largest random turn in degrees")
    scale: float = _option(0.1, "largest random change of size, as a share of it")
    erase: float = _option(0.0, "probability of random erasing")
    erase_fill: Literal["noise", "mean"] = _option("noise", "what is written into the erased box")
    mixup: float = _option(0.0, "α of the Beta law of mixup's weights; 0 is off")
    cutmix: float = _option(0.0, "α of the Beta law of cutmix's weights; 0 is off")
    mix_rate: float = _option(1.0, "probability that a batch is mixed, if either is on")
    mix_switch: float = _option(0.5, "probability of cutmix when both are on")
    repeats: int = _option(1, "visits of an image in an epoch, which sees as many images fewer")
    balanced: bool = _option(False, "visit every class equally often")


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole run."""

    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


# what has a short name on the command line and in `allmlp.train(...)`
SHORT_NAMES: dict[str, str] = {
    "data": "data.source",
    "target": "data.target",
    "model": "model.name",
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "lr": "train.lr",
    "seed": "run.seed",
    "run": "run.dir",
    "precision": "run.precision",
    "device": "run.device",
}
