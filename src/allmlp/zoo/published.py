"""Accuracies that others published for the named sizes, each with its pre-training and source.

Numbers of different pre-training stand side by side only with their labels: a Mixer-L/16 has been
reported at 71.8 % (ImageNet-1k alone) and at 87.9 % (JFT-300M, 448 px, H/14) in one paper.
"""

from dataclasses import dataclass

__all__ = ["PUBLISHED", "PublishedResult"]


@dataclass(frozen=True)
class PublishedResult:
    """One accuracy on ImageNet-1k (or the stated data) that somebody else measured."""

    top1: float  # percent
    pretraining: str
    img_size: int  # pixels, at evaluation
    source: str
    data: str = "ImageNet-1k"


def _table3(top1: float, pretraining: str, img_size: int = 224) -> PublishedResult:
    return PublishedResult(top1, pretraining, img_size, "arXiv:2105.01601, table 3")


_ALONE = "none (ImageNet-1k alone)"
_CONVMIXER = "github.com/locuslab/convmixer"

_FINE_TUNED = "ImageNet-21k, fine-tuned on ImageNet-1k"
_SCALING = "github.com/gregorbachmann/scaling_mlps"


def _resmlp(top1: float, training: str, table: str) -> PublishedResult:
    return PublishedResult(top1, training, 224, f"arXiv:2105.03404, table {table}")


def _gmlp(top1: float) -> PublishedResult:
    return PublishedResult(top1, "none (ImageNet-1k, 300 epochs)", 224, "arXiv:2105.08050, table 2")


def _cyclemlp(top1: float) -> PublishedResult:
    return PublishedResult(
        top1, "none (ImageNet-1k, 300 epochs)", 224, "github.com/ShoufaChen/CycleMLP"
    )


def _repmlpnet(paper: float, released: float, img_size: int) -> tuple[PublishedResult, ...]:
    training = "none (ImageNet-1k, 100 epochs)"
    return (
        PublishedResult(paper, training, img_size, "arXiv:2112.11081, table 2"),
        PublishedResult(released, training, img_size, "github.com/DingXiaoH/RepMLP"),
    )


_SUPERVISED = "none (ImageNet-1k, 400 epochs)"
_DISTILLED = "none (ImageNet-1k, distilled from RegNetY-16GF)"

PUBLISHED: dict[str, tuple[PublishedResult, ...]] = {
    "convmixer_1536_20": (PublishedResult(81.37, _ALONE, 224, _CONVMIXER),),
    "convmixer_768_32": (PublishedResult(80.16, _ALONE, 224, _CONVMIXER),),
    "convmixer_1024_20": (PublishedResult(76.94, _ALONE, 224, _CONVMIXER),),
    "convmixer_256_8": (
        PublishedResult(
            92.60, "none (25 epochs)", 32, "github.com/locuslab/convmixer-cifar10", "CIFAR-10"
        ),
    ),
    "scaling_mlp_b6_w512": (PublishedResult(33.3, _FINE_TUNED, 64, _SCALING),),
    "scaling_mlp_b12_w512": (PublishedResult(38.0, _FINE_TUNED, 64, _SCALING),),
    "scaling_mlp_b6_w1024": (PublishedResult(40.0, _FINE_TUNED, 64, _SCALING),),
    "scaling_mlp_b12_w1024": (PublishedResult(43.2, _FINE_TUNED, 64, _SCALING),),
    "mixer_s32": (_table3(68.70, "JFT-300M, 5 epochs"),),
    "mixer_s16": (_table3(73.83, "JFT-300M, 5 epochs"),),
    "mixer_b32": (_table3(75.53, "JFT-300M, 7 epochs"),),
    "mixer_b16": (
        _table3(76.44, "none (ImageNet-1k, 300 epochs, strong regularisation)"),
        _table3(80.64, "ImageNet-21k, 300 epochs"),
        _table3(80.00, "JFT-300M, 7 epochs"),
    ),
    "mixer_l32": (_table3(80.67, "JFT-300M, 7 epochs"),),
    "mixer_l16": (
        _table3(71.76, "none (ImageNet-1k, 300 epochs, strong regularisation)"),
        _table3(82.89, "ImageNet-21k, 300 epochs"),
        _table3(83.91, "ImageNet-21k, 300 epochs", 448),
        _table3(84.82, "JFT-300M, 14 epochs"),
        _table3(86.78, "JFT-300M, 14 epochs", 448),
    ),
    "mixer_h14": (_table3(86.32, "JFT-300M, 14 epochs"),),
    "mixer_nano": (
        PublishedResult(
            90.83, "none (300 epochs)", 32, "github.com/omihub777/MLP-Mixer-CIFAR", "CIFAR-10"
        ),
    ),
    "resmlp_s12": (_resmlp(76.6, _SUPERVISED, "1"), _resmlp(77.8, _DISTILLED, "3")),
    "resmlp_s24": (_resmlp(79.4, _SUPERVISED, "1"), _resmlp(80.8, _DISTILLED, "3")),
    "resmlp_s36": (_resmlp(79.7, _SUPERVISED, "3"), _resmlp(81.0, _DISTILLED, "3")),
    "resmlp_b24": (_resmlp(81.0, _SUPERVISED, "1"),),
    "resmlp_b24_p8": (
        _resmlp(81.0, _SUPERVISED, "3"),
        _resmlp(83.6, _DISTILLED, "3"),
        _resmlp(84.4, "ImageNet-22k, 60 epochs", "3"),
    ),
    "resmlp_s12_class_mlp": (_resmlp(77.5, _SUPERVISED, "3"),),
    "cyclemlp_b1": (_cyclemlp(78.9),),
    "cyclemlp_b2": (_cyclemlp(81.6),),
    "cyclemlp_b3": (_cyclemlp(82.4),),
    "cyclemlp_b4": (_cyclemlp(83.0),),
    "cyclemlp_b5": (_cyclemlp(83.2),),
    "csmixer_l": (
        PublishedResult(83.2, "none (ImageNet-1k alone)", 224, "arXiv:2308.13363, abstract"),
    ),
    "repmlpnet_t224": _repmlpnet(76.4, 76.62, 224),
    "repmlpnet_t256": _repmlpnet(77.5, 77.44, 256),
    "repmlpnet_b224": _repmlpnet(80.1, 80.32, 224),
    "repmlpnet_b256": _repmlpnet(81.0, 81.03, 256),
    "repmlpnet_d256": _repmlpnet(80.8, 80.83, 256),
    "repmlpnet_l256": _repmlpnet(81.8, 81.68, 256),
    "gmlp_ti16": (_gmlp(72.3),),
    "gmlp_s16": (_gmlp(79.6),),
    "gmlp_b16": (_gmlp(81.6),),
}
