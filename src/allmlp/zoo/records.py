"""Weights that others published, under their true labels.

Nothing here touches the network; `zoo.download` does, when a record is asked for by name.
"""

from dataclasses import dataclass, replace

from allmlp.errors import AllmlpError, unknown_name

__all__ = ["RECORDS", "WeightRecord", "find_record", "tags_of"]

HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class WeightRecord:
    """One weight file: where it comes from, what it learned, how to feed it."""

    model: str  # the variant it fits
    tag: str
    url: str
    origin: str  # who trained it
    licence: str
    pretraining: str  # what it was really trained on
    num_classes: int = 1000
    img_size: int = 224  # pixels
    mean: tuple[float, float, float] = HALF  # of pixels in [0, 1]
    std: tuple[float, float, float] = HALF
    interpolation: str = "bicubic"
    crop: float = 0.875  # share of the scaled image that the central crop keeps, per side
    sha256: str = ""  # leading hex digits, where the publisher states them
    top1: float | None = None  # percent on ImageNet-1k
    top1_source: str = ""
    also: tuple[str, ...] = ()  # other tags by which people know it
    note: str = ""

    @property
    def name(self) -> str:
        """model.tag."""
        return f"{self.model}.{self.tag}"


_BUCKET = "https://storage.googleapis.com/mixer_models"
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download"
_GOOGLE = "Google Research (vision_transformer repository)"
_JX = "v0.1-vitjx/jx_mixer"


def _google(size: str, folder: str, tag: str, pretraining: str) -> WeightRecord:
    return WeightRecord(
        model=f"mixer_{size}",
        tag=tag,
        url=f"{_BUCKET}/{folder}/Mixer-{size[0].upper()}_{size[1:]}.npz",
        origin=_GOOGLE,
        licence="Apache-2.0",
        pretraining=pretraining,
    )


def _timm(size: str, path: str, tag: str, pretraining: str, also: str = "") -> WeightRecord:
    return WeightRecord(
        model=f"mixer_{size}",
        tag=tag,
        url=f"{_TIMM}/{path}",
        origin=f"{_GOOGLE}, converted by timm",
        licence="Apache-2.0",
        pretraining=pretraining,
        sha256=path.rpartition("-")[2].partition(".")[0],  # torch.hub's convention
        also=(also,) if also else (),
    )


def _miil(path: str, tag: str, pretraining: str) -> WeightRecord:
    return replace(
        _timm("b16", path, tag, pretraining),
        origin="Alibaba MIIL (ImageNet21K repository), converted by timm",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        interpolation="bilinear",
    )


_PAPER = "arXiv:2105.01601, table 3"
_TIMM_TABLE = "timm's results-imagenet.csv"
_WRONG_TAG = (
    "timm calls these weights goog_in21k_ft_in1k; their accuracy and a Mixer author say that they "
    "were trained on ImageNet-1k alone"
)
_1K, _21K = "ImageNet-1k", "ImageNet-21k"

_MIXERS = (
    replace(_google("b16", "imagenet1k", "google_in1k", _1K), top1=76.44, top1_source=_PAPER),
    replace(_google("l16", "imagenet1k", "google_in1k", _1K), top1=71.76, top1_source=_PAPER),
    replace(_google("b16", "imagenet21k", "google_in21k", _21K), num_classes=21843),
    replace(_google("l16", "imagenet21k", "google_in21k", _21K), num_classes=21843),
    _google("b16", "sam", "google_sam_in1k", f"{_1K} with SAM"),
    _google("b32", "sam", "google_sam_in1k", f"{_1K} with SAM"),
    _google("s8", "gsam", "google_gsam_in1k", f"{_1K} with GSAM"),
    _google("s16", "gsam", "google_gsam_in1k", f"{_1K} with GSAM"),
    _google("s32", "gsam", "google_gsam_in1k", f"{_1K} with GSAM"),
    _google("b16", "gsam", "google_gsam_in1k", f"{_1K} with GSAM"),
    _google("b32", "gsam", "google_gsam_in1k", f"{_1K} with GSAM"),
    replace(
        _timm("b16", f"{_JX}_b16_224-76587d61.pth", "timm_in1k", _1K, "goog_in21k_ft_in1k"),
        top1=76.62,
        top1_source=_TIMM_TABLE,
        note=_WRONG_TAG,
    ),
    replace(
        _timm("l16", f"{_JX}_l16_224-92f9adc4.pth", "timm_in1k", _1K, "goog_in21k_ft_in1k"),
        top1=72.08,
        top1_source=_TIMM_TABLE,
        note=_WRONG_TAG,
    ),
    replace(
        _timm("b16", f"{_JX}_b16_224_in21k-617b3de2.pth", "timm_in21k", _21K, "goog_in21k"),
        num_classes=21843,
    ),
    replace(
        _timm("l16", f"{_JX}_l16_224_in21k-846aa33c.pth", "timm_in21k", _21K, "goog_in21k"),
        num_classes=21843,
    ),
    replace(
        _miil("v0.1-tresnet/mixer_b16_224_miil_in21k-2a558a71.pth", "miil_in21k", f"{_21K}-P"),
        num_classes=11221,
    ),
    replace(
        _miil(
            "v0.1-tresnet/mixer_b16_224_miil-9229a591.pth",
            "miil_in21k_ft_in1k",
            f"{_21K}-P, fine-tuned on {_1K}",
        ),
        top1=82.31,
        top1_source=_TIMM_TABLE,
    ),
)

_RESMLP_PAPER = "arXiv:2105.03404, tables 1 and 3"
_DISTILLED = f"{_1K}, distilled from RegNetY-16GF"
_DINO = f"{_1K} without labels (DINO)"


def _deit(
    model: str, file: str, tag: str, pretraining: str, timm_tag: str, top1: float | None = None
) -> WeightRecord:
    return WeightRecord(
        model=f"resmlp_{model}",
        tag=tag,
        url=f"https://dl.fbaipublicfiles.com/deit/{file}.pth",
        origin="Meta AI (deit repository)",
        licence="Apache-2.0",
        pretraining=pretraining,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop=0.9,  # resized to 248, cut to 224; timm says 0.875
        top1=top1,
        top1_source="" if top1 is None else _RESMLP_PAPER,
        also=(timm_tag,),
    )


_RESMLPS = (
    _deit("s12", "resmlp_12_no_dist", "deit_in1k", _1K, "fb_in1k", 76.6),
    _deit("s24", "resmlp_24_no_dist", "deit_in1k", _1K, "fb_in1k", 79.4),
    _deit("s36", "resmlp_36_no_dist", "deit_in1k", _1K, "fb_in1k", 79.7),
    _deit("b24_p8", "resmlpB_24_no_dist", "deit_in1k", _1K, "fb_in1k", 81.0),
    _deit("s12", "resmlp_12_dist", "deit_dist_in1k", _DISTILLED, "fb_distilled_in1k", 77.8),
    _deit("s24", "resmlp_24_dist", "deit_dist_in1k", _DISTILLED, "fb_distilled_in1k", 80.8),
    _deit("s36", "resmlp_36_dist", "deit_dist_in1k", _DISTILLED, "fb_distilled_in1k", 81.0),
    _deit("b24_p8", "resmlpB_24_dist", "deit_dist_in1k", _DISTILLED, "fb_distilled_in1k", 83.6),
    _deit(
        "b24_p8",
        "resmlpB_24_22k",
        "deit_in22k_ft_in1k",
        f"ImageNet-22k, fine-tuned on {_1K}",
        "fb_in22k_ft_in1k",
        84.4,
    ),
    # no head of use: these nets gave features for nearest neighbours and linear probes
    replace(_deit("s12", "resmlp_12_dino", "deit_dino", _DINO, "fb_dino"), num_classes=0),
    replace(_deit("s24", "resmlp_24_dino", "deit_dino", _DINO, "fb_dino"), num_classes=0),
    WeightRecord(
        model="gmlp_s16",
        tag="timm_in1k",
        url=f"{_TIMM}/v0.1-weights/gmlp_s16_224_raa-10536d42.pth",
        origin="timm (Ross Wightman)",
        licence="Apache-2.0",
        pretraining=_1K,
        sha256="10536d42",
        top1=79.65,
        top1_source=_TIMM_TABLE,
        also=("ra3_in1k",),
    ),
)

_CONVMIXER = "https://github.com/tmp-iclr/convmixer/releases/download"


def _convmixer(model: str, file: str, top1: float) -> WeightRecord:
    return WeightRecord(
        model=f"convmixer_{model}",
        tag="official_in1k",
        url=f"{_CONVMIXER}/timm-v1.0/convmixer_{file}.pth.tar",
        origin="the paper's authors (locuslab/convmixer)",
        licence="MIT",
        pretraining=_1K,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop=0.96,
        top1=top1,
        top1_source="github.com/locuslab/convmixer",
        also=("in1k",),  # timm's tag of the same weights
    )


_CONVMIXERS = (
    _convmixer("1536_20", "1536_20_ks9_p7", 81.37),
    replace(
        _convmixer("768_32", "768_32_ks7_p7_relu", 80.16),
        note="trained with ReLU; with GELU they are worth nothing",
    ),
    _convmixer("1024_20", "1024_20_ks9_p14", 76.94),
)


def _cyclemlp(size: str, top1: float) -> WeightRecord:
    return WeightRecord(
        model=f"cyclemlp_{size}",
        tag="official_in1k",
        url="https://github.com/ShoufaChen/CycleMLP/releases/download/v0.1/"
        f"CycleMLP_{size.upper()}.pth",
        origin="the paper's authors (ShoufaChen/CycleMLP)",
        licence="MIT",
        pretraining=_1K,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        top1=top1,
        top1_source="github.com/ShoufaChen/CycleMLP",
    )


_CYCLEMLPS = (
    _cyclemlp("b1", 78.9),
    _cyclemlp("b2", 81.6),
    _cyclemlp("b3", 82.4),
    _cyclemlp("b4", 83.0),
    _cyclemlp("b5", 83.2),
)

_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
# tag -> what it learned, its classes, mean and standard deviation of its pixels
_CIFAR = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
_LEARNED = {
    "in21k": (_21K, 11230, IMAGENET_MEAN, IMAGENET_STD),
    "in21k_ft_cifar10": (f"{_21K}, fine-tuned on CIFAR-10", 10, *_CIFAR),
    "in21k_ft_cifar100": (f"{_21K}, fine-tuned on CIFAR-100", 100, *_CIFAR),
    "in21k_ft_in1k": (f"{_21K}, fine-tuned on {_1K}", 1000, IMAGENET_MEAN, IMAGENET_STD),
}


def _scaling(size: str, tag: str, drive_id: str) -> WeightRecord:
    pretraining, classes, mean, std = _LEARNED[tag]
    return WeightRecord(
        model=f"scaling_mlp_{size}",
        tag=tag,
        url=f"{_DRIVE}{drive_id}",
        origin="the paper's authors (gregorbachmann/scaling_mlps)",
        licence="none stated",
        pretraining=pretraining,
        num_classes=classes,
        img_size=64,
        mean=mean,
        std=std,
        interpolation="bilinear",
        crop=1.0,
    )


# B-6/Wi-512 on ImageNet-1k is left out: its published link leads to the CIFAR-100 file
_SCALING_MLPS = (
    _scaling("b12_w1024", "in21k", "1rcV8RXij_kW9X2zSLNyNOTO_bKUjE0cJ"),
    _scaling("b12_w512", "in21k", "1sL9j_4FFeBTWTzuRFbHLfwrmPVLXhUtW"),
    _scaling("b6_w1024", "in21k", "1cmO3QSz_hfHtyzkUOZnPmXPxIE2YzEbf"),
    _scaling("b6_w512", "in21k", "1QV3a99UT8llfh9zDDuNKWDH_5c6S_YT5"),
    _scaling("b12_w1024", "in21k_ft_cifar10", "1GyxuewoOzMRhzEOyUrIBLQzquc-QEYNV"),
    _scaling("b12_w1024", "in21k_ft_cifar100", "1LNqC58cSwtuDr-C4bk1O3GA_vAWls-UH"),
    _scaling("b12_w1024", "in21k_ft_in1k", "1MVebvnSGL02k_ql1gUCjh4quGqM9RM4F"),
    _scaling("b12_w512", "in21k_ft_cifar10", "1F1NvoOsYCgsn1GOZcwsoToOtsw-9Aw1v"),
    _scaling("b12_w512", "in21k_ft_cifar100", "1KIULehrqOyxIkZj0HiqowNmBy4Ye1EQ2"),
    _scaling("b12_w512", "in21k_ft_in1k", "1f0ZYzB_XujX8hDcEn_J6iWvw1meJ4Cbg"),
    _scaling("b6_w1024", "in21k_ft_cifar10", "1Tyd5CkROPCMQybnrZ_o1wiAW7VoK6AfJ"),
    _scaling("b6_w1024", "in21k_ft_cifar100", "1FrRb78bjun6QGbbH-pCWDaaE_8LWW785"),
    _scaling("b6_w1024", "in21k_ft_in1k", "115Lks211vx1at2dWn3JtQ57EZ7eNAVP4E"),
    _scaling("b6_w512", "in21k_ft_cifar10", "1VjHgjheSm_w7xPtheEmY5kV_KE4-38zQ"),
    _scaling("b6_w512", "in21k_ft_cifar100", "1iK3t20-GS_Vs-_Q3ZexSiCfjGJ3IaPC2"),
)

RECORDS: dict[str, WeightRecord] = {
    record.name: record
    for record in (*_MIXERS, *_RESMLPS, *_CONVMIXERS, *_CYCLEMLPS, *_SCALING_MLPS)
}


def tags_of(model: str) -> list[str]:
    """The tags published for a variant.

    Example:
        >>> tags_of("mixer_l16")
        ['google_in1k', 'google_in21k', 'timm_in1k', 'timm_in21k']
    """
    return [record.tag for record in RECORDS.values() if record.model == model]


def find_record(model: str, tag: str) -> WeightRecord:
    """The record of a variant by its tag, or by another tag people know it by.

    Raises:
        AllmlpError: no such tag; the known ones are listed.
    """
    for record in RECORDS.values():
        if record.model == model and tag in (record.tag, *record.also):
            return record
    if not tags_of(model):
        raise AllmlpError(
            f"no weights are published for {model}; pretrained= takes a file, a run or hf:ORG/NAME"
        )
    raise AllmlpError(unknown_name(f"weights of {model}", tag, tags_of(model)))
