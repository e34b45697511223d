"""What a vision model looks at, as a page.

Axes: c channels, h w pixels, k classes, m units, r features, s share-sets.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from allmlp.interpret import Answer, Overview, TokenMaps, area_share
from allmlp.interpret.bilinear import EigenFeatures, NestedFeatures, Pair, effective_rank
from allmlp.report.explain_charts import Line, draw_pairs, draw_spectrum
from allmlp.report.maps import draw_map, draw_photo, draw_strength
from allmlp.report.page import (
    Block,
    Cell,
    Facts,
    Gallery,
    Page,
    Picture,
    Section,
    Table,
    Text,
    Value,
    format_share,
)

__all__ = ["explain_page"]

Entry = TypeVar("Entry")

_MAPS, _UNITS = 9, 27  # of one layer; of the first layer of a net on pixels
_FEATURES, _LISTED, _PAIRS = 9, 5, 14  # of each sign: shown, listed, and pairs of pixels


def explain_page(
    found: Overview,
    *,
    name: str,
    model: str,
    classes: Sequence[str],
    pixels: UInt8[Tensor, "c h w"] | None = None,
    source: str = "",
) -> Page:
    """A page of everything that `interpret.overview` found.

    Args:
        found: the results.
        name: of the run.
        model: what it is called.
        classes: names of the model's outputs.
        pixels: the image that was asked about.
        source: where that image comes from.
    """
    asked = classes[found.target]
    sections: list[Section] = []
    facts: list[tuple[str, Value]] = [("class in question", asked)]
    lead = f"{model}, asked about {asked}. No image was given: this is what it looks for in any."
    if found.answer is not None and pixels is not None:
        best, share = _best(found.answer)
        facts += [
            ("answer", classes[best]),
            (f"probability of {asked}", format_share(_shares(found.answer)[found.target].item())),
            (f"logit of {asked}", f"{found.answer.logits[found.target].item():+.3f}"),
        ]
        lead = (
            f"{model} takes {source} for {classes[best]} with a probability of "
            f"{format_share(share)}."
        )
        sections.append(_image(found.answer, found.target, classes, pixels))
    if found.eigen is not None:
        sections += _eigen(found, asked, pixels)
    if found.nested is not None:
        sections.append(_nested(found, found.nested, asked))
    if found.tokens:
        sections.append(_tokens(found.tokens))
    if found.reach:
        sections.append(_reach(found))
    if found.fields:
        sections.append(_fields(found))
    if found.pixels is not None and found.eigen is None:
        sections.append(_pixels(found.pixels))
    if not sections:
        sections.append(
            Section(
                "Nothing to draw from the weights alone",
                (
                    Text(
                        f"{model} has no token-mixing weights, no first layer on pixels and no "
                        "bilinear form that could be shown as images. Name an image with --image: "
                        "what its pixels add to an answer can be shown of every model."
                    ),
                ),
            )
        )
    return Page(f"What {name} looks at", tuple(sections), lead, Facts(tuple(facts)))


def _shares(answer: Answer) -> Float[Tensor, " k"]:
    return answer.logits.double().softmax(0)


def _best(answer: Answer) -> tuple[int, float]:
    shares = _shares(answer)
    best = int(shares.argmax())
    return best, shares[best].item()


def _image(
    answer: Answer, target: int, classes: Sequence[str], pixels: UInt8[Tensor, "c h w"]
) -> Section:
    asked, shares = classes[target], _shares(answer)
    pictures = (
        draw_photo(pixels, alt="The image.", caption="The image, as the model reads it."),
        draw_map(
            answer.gradients,
            alt=f"Integrated gradients for {asked}.",
            caption="Integrated gradients: what each pixel adds to the logit on the way from the "
            "mean image.",
            large=True,
        ),
        draw_map(
            answer.covered,
            alt=f"Occlusion for {asked}.",
            caption=f"Occlusion: how far the logit falls when squares of {answer.square} pixels "
            "around the pixel are covered by the mean.",
            large=True,
        ),
    )
    order = shares.argsort(descending=True)[:5].tolist()
    order += [target] if target not in order else []
    rows = tuple(
        (classes[k], Cell.share(shares[k].item()), _signed(answer.logits[k])) for k in order
    )
    total = answer.gradients.double().sum().item()
    return Section(
        "This image",
        (
            Text(
                f"Orange pixels speak for {asked}, blue ones against it; the deeper, the more. "
                "Every map has its own scale."
            ),
            Gallery(pictures),
            Table(("class", "probability", "logit"), rows, "What the model answers."),
            Facts(
                (
                    ("logit of the image", f"{answer.logits[target].item():+.4f}"),
                    ("logit of the mean image", f"{answer.at_mean:+.4f}"),
                    ("sum of integrated gradients", f"{total:+.4f}"),
                    ("missing to the difference", f"{answer.gap:+.1e}"),
                )
            ),
        ),
    )


def _eigen(found: Overview, asked: str, pixels: UInt8[Tensor, "c h w"] | None) -> list[Section]:
    assert found.eigen is not None
    answer = found.answer
    features = found.eigen
    added = None if answer is None else answer.features
    shape = _shape(found)
    many = " Directions are summed over the channels." if shape[0] > 1 else ""
    below = " and what it adds to the logit of this image" if added is not None else ""
    blocks: list[Block] = [
        Text(
            f"The logit of {asked} is exactly a sum over features: value · (direction · image + "
            "offset)². The sign of the value decides whether a feature can only raise the logit or "
            f"only lower it; its direction is an image.{many} Below each: its value{below}."
        )
    ]
    for sign, verb in ((1, "raise"), (-1, "lower")):
        chosen = (sign * features.values > 0).nonzero()[:_FEATURES, 0].tolist()
        if chosen:
            blocks.append(Text(f"The strongest that {verb} the logit:"))
            blocks.append(_directions(features.directions, features.values, chosen, shape, added))
    facts = Facts(
        (
            ("features", f"{len(features.values):,}"),
            ("effective rank", f"{effective_rank(features.values).item():.1f}"),
            ("of them positive", f"{int((features.values > 0).sum()):,}"),
        )
    )
    sections = [
        Section("Eigenfeatures", tuple(blocks)),
        Section("Spectrum", (draw_spectrum(features.values), facts)),
    ]
    if answer is None or added is None or answer.pairs is None:
        return sections
    sections.append(
        Section("What adds up to the logit", (_sum(features, added, found.target, answer),))
    )
    supports, opposes = answer.pairs.pairs(found.target, _PAIRS)
    drawn = draw_pairs(_shade(answer, pixels), _lines(supports + opposes, shape))
    sections.append(
        Section(
            "Pairs of pixels",
            (
                Text(
                    "Multiplied out, the same logit is a sum over pairs of pixels: their product "
                    "times a weight. With half of every pair, and all of what it adds by itself, "
                    "a pixel has what the integrated gradients above show: exactly, because the "
                    "logit is quadratic. "
                    f"The strongest {len(supports)} pairs for and {len(opposes)} against:"
                ),
                drawn,
                _pair_table(supports[:_LISTED] + opposes[:_LISTED], shape, asked),
            ),
        )
    )
    return sections


def _directions(
    directions: Float[Tensor, "r i"],
    values: Float[Tensor, " r"],
    chosen: Sequence[int],
    shape: tuple[int, int, int],
    added: Float[Tensor, " r"] | None = None,
) -> Gallery:
    pictures = []
    for r in chosen:
        value = f"{values[r].item():+#.3g}"
        caption = value if added is None else f"{value}\nadds {added[r].item():+.3f}"
        image = directions[r].unflatten(0, shape).sum(0)
        alt = f"Direction of feature {r + 1}, of value {value}."
        pictures.append(draw_map(image, alt=alt, caption=caption))
    return Gallery(tuple(pictures), small=True)


def _sum(features: EigenFeatures, added: Tensor, target: int, answer: Answer) -> Table:
    """The largest contributions of both signs, all others as one row, and the sum."""
    order = added.argsort(descending=True).tolist()
    listed = [r for r in order[:_LISTED] if added[r] > 0]
    listed += [r for r in order[-_LISTED:] if added[r] < 0]
    rows: list[tuple[Value | Cell, ...]] = [
        (f"{r + 1}", _signed(features.values[r]), _signed(added[r])) for r in listed
    ]
    rest = added.sum() - added[listed].sum()
    rows += [
        (f"the other {len(added) - len(listed)}", None, _signed(rest)),
        ("sum", None, _signed(added.sum())),
        ("the model's logit", None, _signed(answer.logits[target])),
    ]
    return Table(
        ("feature", "eigenvalue", "adds"),
        tuple(rows),
        "The features that add most and take most away; numbered by falling modulus of the "
        "eigenvalue, as in the spectrum.",
    )


def _signed(value: Tensor) -> Cell:
    number = value.item()
    return Cell(f"{number:+.4f}", order=number)


def _lines(pairs: Sequence[Pair], shape: tuple[int, int, int]) -> list[Line]:
    found: list[Line] = []
    for pair in pairs:
        _, y, x = _place(pair.first, shape)
        to = None if pair.second is None else _place(pair.second, shape)[1:]
        found.append(((y, x), to, pair.contribution))
    return found


def _pair_table(pairs: Sequence[Pair], shape: tuple[int, int, int], asked: str) -> Table:
    def told(number: int) -> str:
        channel, y, x = _place(number, shape)
        return f"({y}, {x})" + (f" in channel {channel}" if shape[0] > 1 else "")

    rows: list[tuple[Value | Cell, ...]] = []
    for pair in pairs:
        second = pair.second
        if second is None:
            name = f"{told(pair.first)} by itself"
        elif second == pair.first:
            name = f"{told(pair.first)} squared"
        else:
            name = f"{told(pair.first)} and {told(second)}"
        rows.append((name, Cell(f"{pair.contribution:+.4f}", order=pair.contribution)))
    return Table(
        ("pixels", "adds"),
        tuple(rows),
        f"The strongest pairs for and against {asked}; (row, column), counted from 0.",
        sortable=True,
    )


def _place(number: int, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    channel, rest = divmod(number, shape[1] * shape[2])
    return channel, rest // shape[2], rest % shape[2]


def _shape(found: Overview) -> tuple[int, int, int]:
    """Of an image, for a network on pixels."""
    assert found.pixels is not None
    channels, height, width = found.pixels.shape[1:]
    return channels, height, width


def _shade(answer: Answer, pixels: UInt8[Tensor, "c h w"] | None) -> Float[Tensor, "h w"]:
    if pixels is None:
        return torch.zeros(answer.image.shape[1:])
    return pixels.float().mean(0) / 255


def _nested(found: Overview, nested: NestedFeatures, asked: str) -> Section:
    shape, leaves = _shape(found), nested.levels[-1]
    chosen = leaves.scores.argsort(descending=True)[:_MAPS].tolist()
    kept = "All of them are" if nested.exact else "The strongest 64 of every layer are"
    blocks: list[Block] = [
        Text(
            f"The logit of {asked} is a sum of squares of sums of squares, one for each of the "
            f"{len(nested.levels)} layers. {kept} decomposed. Directions of the first layer that "
            "matter most, each with its eigenvalue:"
        ),
        _directions(nested.directions, leaves.values, chosen, shape),
    ]
    added = None if found.answer is None else found.answer.features
    if added is not None and found.answer is not None:
        logit = found.answer.logits[found.target].item()
        blocks.append(
            Facts(
                (
                    ("sum of the last layer's features", f"{added.sum().item():+.4f}"),
                    ("logit that the model gives", f"{logit:+.4f}"),
                )
            )
        )
    return Section("Nested eigenfeatures", tuple(blocks))


def _tokens(tokens: dict[str, TokenMaps]) -> Section:
    blocks: list[Block] = [
        Text(
            "The weights with which a layer mixes tokens, laid out as the tokens lie in the image. "
            "Orange adds what it reads there, blue subtracts it; every map has its own scale."
        )
    ]
    for name in _spread(list(tokens), 3):
        maps = tokens[name]
        if maps.writes is not None:
            strength = maps.reads.flatten(1).norm(dim=1) * maps.writes.flatten(1).norm(dim=1)
            units = strength.argsort(descending=True)[:_MAPS].tolist()
            what = f"{name}: the strongest {len(units)} of {len(maps.reads)} hidden units"
            for verb, images in (("read", maps.reads), ("write", maps.writes)):
                pictures = tuple(
                    draw_map(
                        images[u], alt=f"What unit {u} of {name} {verb}s.", caption=f"unit {u}"
                    )
                    for u in units
                )
                blocks += [Text(f"{what}, what they {verb}:"), Gallery(pictures, small=True)]
            continue
        blocks += [Text(f"{name}: what tokens read."), Gallery(_rows(name, maps.reads), small=True)]
    return Section("Token mixing", tuple(blocks))


def _rows(name: str, reads: Tensor) -> tuple[Picture, ...]:
    """Maps of tokens spread over the grid; of three share-sets, where there are several."""
    sets = reads if reads.ndim == 4 else reads[None]
    rows, columns = (_spread(list(range(count)), 3) for count in sets.shape[2:])
    # of one set a grid of tokens, of several a diagonal each
    places = [(y, x) for y in rows for x in columns]
    if len(sets) > 1:
        places = list(zip(rows, columns, strict=False))
    pictures = []
    for s in _spread(list(range(len(sets))), 3):
        for y, x in places:
            where = f"row {y}, column {x}"
            of_set = f"set {s}\n" if reads.ndim == 4 else ""
            image = sets[s, y * sets.shape[3] + x]
            alt = f"What the token in {where} of {name} reads, {of_set.strip() or 'all channels'}."
            pictures.append(draw_map(image, alt=alt, caption=f"{of_set}{where}"))
    return tuple(pictures)


def _reach(found: Overview) -> Section:
    blocks: list[Block] = [
        Text(
            "From which places a layer makes the one in the middle: the deeper, the more strongly "
            "the channels there are read. Places without colour are not read at all. Layers that "
            "read the same places as one before are left out."
        )
    ]
    shown: dict[str, str] = {}
    for name, reach in found.reach.items():
        shown.setdefault(f"{(reach.strengths > 0).int().tolist()}", name)
    for name in list(shown.values())[:_MAPS]:
        reach = found.reach[name]
        height, width = reach.strengths.shape[1:]
        y, x = reach.place
        pictures = tuple(
            draw_strength(
                reach.strengths[u],
                alt=f"Places that {name} reads, {reach.units[u]}.",
                caption=reach.units[u],
            )
            for u in _spread(list(range(len(reach.units))), 6)
        )
        told = f"{name}, for row {y}, column {x} of a map of {height}×{width}:"
        blocks += [Text(told), Gallery(pictures, small=True)]
    return Section("Reach of a layer", tuple(blocks))


def _fields(found: Overview) -> Section:
    pictures = tuple(
        draw_strength(
            field,
            alt=f"Effective receptive field of block {block}.",
            caption=f"Block {block}: half of the sum lies in {format_share(area_share(field))} of "
            "the pixels.",
            large=True,
        )
        for block, field in found.fields.items()
    )
    text = (
        "Where the central place of a block really looks: absolute gradients with respect to the "
        "pixels, mean over the sample images of the run."
    )
    return Section("Effective receptive fields", (Text(text), Gallery(pictures)))


def _pixels(weights: Float[Tensor, "m c h w"]) -> Section:
    images = weights.cpu().sum(1)
    units = images.flatten(1).norm(dim=1).argsort(descending=True)[:_UNITS].tolist()
    pictures = tuple(
        draw_map(images[u], alt=f"Weights of unit {u} of the first layer.", caption=f"unit {u}")
        for u in units
    )
    many = ", summed over the channels" if weights.shape[1] > 1 else ""
    text = (
        f"What a unit of the first layer gains when a pixel rises by a deviation{many}; the "
        f"strongest {len(units)} of {len(weights)}."
    )
    return Section("The first layer", (Text(text), Gallery(pictures, small=True)))


def _spread(entries: list[Entry], count: int) -> list[Entry]:
    """At most so many entries, evenly spread, the first and the last among them."""
    if len(entries) <= count:
        return entries
    return [entries[round(i * (len(entries) - 1) / (count - 1))] for i in range(count)]
