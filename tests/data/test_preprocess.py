import io
import json
import struct
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from allmlp.data import ImageSet, Preprocess, load_source
from allmlp.data.preprocess import INTERPOLATIONS, to_tensor
from allmlp.errors import AllmlpError

GREY = Preprocess(img_size=(4, 6), in_chans=1, mean=(0.25,), std=(0.5,))
COLOUR = Preprocess(img_size=(4, 4), in_chans=3, mean=(0.5,) * 3, std=(0.5,) * 3)


def test_normalize_is_mean_and_deviation_of_scaled_pixels() -> None:
    images = torch.randint(0, 256, (3, 1, 4, 6), dtype=torch.uint8)
    expected = (images.double() / 255 - 0.25) / 0.5
    normalized = GREY.normalize(images)
    assert normalized.dtype == torch.float32
    torch.testing.assert_close(normalized.double(), expected, rtol=1e-5, atol=1e-6)


def test_training_data_come_out_with_mean_zero_and_deviation_one() -> None:
    images = torch.randint(0, 200, (50, 3, 4, 4), dtype=torch.uint8)
    images[:, 2] = 7  # a constant channel must not become infinite
    mean, std = ImageSet(images, torch.zeros(50, dtype=torch.int64), ("a",)).channel_statistics()
    out = Preprocess(img_size=(4, 4), in_chans=3, mean=mean, std=std).normalize(images)
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    deviation = out.std(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(deviation, torch.tensor([1.0, 1.0, 0.0]), rtol=0, atol=1e-5)


def test_json_round_trip() -> None:
    assert Preprocess.from_dict(json.loads(json.dumps(asdict(COLOUR)))) == COLOUR


def test_a_png_of_the_right_size_comes_back_pixel_by_pixel(tmp_path: Path) -> None:
    digit = load_source("digits").test.images[0]
    Image.fromarray(digit[0].numpy()).save(tmp_path / "digit.png")
    read = Preprocess(img_size=(8, 8), in_chans=1, mean=(0.3,), std=(0.4,))
    assert torch.equal(read.decode(tmp_path / "digit.png"), digit)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "HSV", "YCbCr"])
def test_any_mode_and_size_is_brought_to_the_models(mode: str) -> None:
    image = Image.new("RGB", (30, 20), (200, 10, 90)).convert(mode)
    for preprocess in (GREY, COLOUR):
        pixels = preprocess.convert(image)
        assert pixels.dtype == torch.uint8
        assert pixels.shape == (preprocess.in_chans, *preprocess.img_size)


def test_the_crop_is_central_and_keeps_proportions() -> None:
    pixels = np.zeros((10, 30), dtype=np.uint8)
    pixels[:, 10:20] = 255  # the middle third is white
    read = Preprocess(img_size=(10, 10), in_chans=1, mean=(0.0,), std=(1.0,))
    assert read.convert(Image.fromarray(pixels)).min() == 255


def test_exif_orientation_is_applied() -> None:
    pixels = np.zeros((4, 4), dtype=np.uint8)
    pixels[0] = 255  # white on top
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    read = Preprocess(img_size=(4, 4), in_chans=1, mean=(0.0,), std=(1.0,))
    upright = read.convert(Image.open(buffer))
    assert upright[0, 3].min() == 255
    assert upright[0, 0].max() == 0


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(AllmlpError, match="no image at .*missing.png"):
        GREY.decode(tmp_path / "missing.png")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(AllmlpError, match="cannot read the image .*text.png: no image format"):
        GREY.decode(tmp_path / "text.png")
    Image.new("L", (64, 64)).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AllmlpError, match="cannot read the image .*cut.png"):
        GREY.decode(tmp_path / "cut.png")


def test_other_channel_counts_need_tensors() -> None:
    odd = Preprocess(img_size=(4, 4), in_chans=2, mean=(0.0,) * 2, std=(1.0,) * 2)
    with pytest.raises(AllmlpError, match="1 or 3 channels, this model takes 2"):
        odd.convert(Image.new("L", (4, 4)))


def plain(size: tuple[int, int], channels: int = 3, **options: object) -> Preprocess:
    return Preprocess(
        img_size=size, in_chans=channels, mean=(0.0,) * channels, std=(1.0,) * channels, **options
    )


def test_older_records_have_neither_interpolation_nor_crop() -> None:
    fields = asdict(COLOUR)
    del fields["interpolation"], fields["crop"]
    assert Preprocess.from_dict(fields) == COLOUR
    sharper = replace(COLOUR, interpolation="bicubic", crop=0.875)
    assert Preprocess.from_dict(json.loads(json.dumps(asdict(sharper)))) == sharper


def test_wrong_options() -> None:
    with pytest.raises(AllmlpError, match="unknown interpolation 'bicubik'; did you mean bicubic"):
        replace(COLOUR, interpolation="bicubik")
    for crop in (0.0, 1.1, float("nan")):
        with pytest.raises(AllmlpError, match=r"needs crop in \(0, 1\]"):
            replace(COLOUR, crop=crop)


@pytest.mark.parametrize("interpolation", ["nearest", "box", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(400, 300), (300, 400), (301, 301)])
def test_crop_is_short_side_then_centre(size: tuple[int, int], interpolation: str) -> None:
    # smooth, so that sub-pixel rounding of the two ways shows little
    x, y = np.meshgrid(np.linspace(0, 200, size[0]), np.linspace(0, 55, size[1]))
    image = Image.fromarray((x + y).astype(np.uint8))
    read = plain((224, 224), 1, interpolation=interpolation, crop=0.875)
    scale = 256 / min(size)
    scaled = image.resize(
        (round(scale * size[0]), round(scale * size[1])), INTERPOLATIONS[interpolation]
    )
    left, top = (scaled.width - 224) // 2, (scaled.height - 224) // 2
    expected = np.asarray(scaled.crop((left, top, left + 224, top + 224)), np.int64)
    assert np.abs(read.convert(image)[0].numpy() - expected).max() <= 2


def test_sixteen_bits_are_scaled_not_cut(encode: Callable[..., bytes]) -> None:
    levels = np.array([[0, 257, 32768, 65535]] * 4, np.uint16)
    for kind in ("PNG", "TIFF"):
        pixels = plain((4, 4), 1).decode_bytes(encode(levels, kind))
        assert pixels[0, 0].tolist() == [0, 1, 128, 255]
    wide = Image.fromarray(levels.astype(np.int32))  # as older formats hold 16 bits
    assert plain((4, 4), 3).convert(wide)[2, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_without_a_known_range(kind: type) -> None:
    values: np.ndarray = np.full((4, 4), 70_000, kind)
    with pytest.raises(AllmlpError, match="no known range; save it with 8 or 16 bits"):
        COLOUR.convert(Image.fromarray(values))


def test_transparent_pixels_are_white(encode: Callable[..., bytes]) -> None:
    red = np.array([[[255, 0, 0, 0], [255, 0, 0, 255]]] * 2, np.uint8)
    pixels = plain((2, 2)).decode_bytes(encode(red))
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert pixels[:, 0, 1].tolist() == [255, 0, 0]
    # the colour under a transparent pixel must not bleed into its neighbours
    halved = plain((1, 1)).decode_bytes(encode(red))
    assert halved[:, 0, 0].tolist() == pytest.approx([255, 127, 127], abs=1)
    grey = np.array([[[0, 0], [0, 255]]] * 2, np.uint8)
    assert plain((2, 2), 1).decode_bytes(encode(grey))[0, 0].tolist() == [255, 0]
    palette = Image.fromarray(np.array([[0, 1]] * 2, np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    content = encode(palette, transparency=0)
    assert plain((2, 2)).decode_bytes(content)[:, 0].T.tolist() == [[255] * 3, [0, 0, 255]]


def test_cmyk(encode: Callable[..., bytes]) -> None:
    cyan = encode(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=95)
    pixels = plain((4, 4)).decode_bytes(cyan)
    assert pixels[:, 2, 2].tolist() == pytest.approx([0, 255, 255], abs=4)  # JPEG is lossy


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_every_orientation_is_as_pillow_turns_it(
    orientation: int, kind: str, encode: Callable[..., bytes]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((48, 32), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(picture, kind, exif=exif)
    read = plain((16, 20))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    difference = read.decode_bytes(content).int() - read.convert(upright).int()
    assert difference.abs().max() <= 1  # rounding: turned before or after resampling


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_box_is_chosen_in_the_upright_image(
    orientation: int, kind: str, encode: Callable[..., bytes]
) -> None:
    # red grows downwards, green to the right, in the upright image
    down, right = np.mgrid[0:48, 0:32]
    upright = np.stack([5 * down, 7 * right, 0 * down], axis=2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = Image.fromarray(upright).transpose(UNDO[orientation]) if orientation > 1 else None
    content = encode(turned or Image.fromarray(upright), kind, exif=exif)
    asked = []

    def choose(size: tuple[int, int]) -> tuple[int, int, int, int]:
        asked.append(size)
        return 0, 0, 36, 12  # tall, and at a corner

    pixels = to_tensor(plain((18, 6)).decode_picture(content, choose)).float()
    assert set(asked) == {(48, 32)}
    # 36 of 48 rows and 12 of 32 columns, however the file has them
    assert pixels[0, -1].mean() - pixels[0, 0].mean() == pytest.approx(5 * 34, abs=12)
    assert pixels[1, :, -1].mean() - pixels[1, :, 0].mean() == pytest.approx(7 * 10, abs=12)


UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def test_a_chosen_box_is_what_pillow_scales(encode: Callable[..., bytes]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    chosen = plain((16, 20)).decode_picture(encode(noise), lambda size: (3, 7, 30, 41))
    expected = Image.fromarray(noise).resize(
        (20, 16), Image.Resampling.BILINEAR, box=(7, 3, 7 + 41, 3 + 30)
    )
    assert np.array_equal(np.asarray(chosen), np.asarray(expected))
    whole = plain((40, 60)).decode_picture(encode(noise), lambda size: (0, 0, *size))
    assert np.array_equal(np.asarray(whole), noise)


@pytest.mark.parametrize("box", [(0, 0, 600, 800), (100, 300, 400, 333), (599, 0, 1, 800)])
def test_chosen_boxes_of_drafted_jpegs(
    box: tuple[int, int, int, int], encode: Callable[..., bytes]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)
    top, left, height, width = box
    scaled = plain((28, 28)).decode_picture(encode(picture, "JPEG", quality=95), lambda size: box)
    expected = picture.resize(
        (28, 28), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)
    )
    difference = np.asarray(scaled).astype(int) - np.asarray(expected).astype(int)
    # JPEG's own loss and the draft's
    assert np.abs(difference).mean() < 4


def test_of_several_frames_the_first(encode: Callable[..., bytes]) -> None:
    frames = [Image.new("L", (8, 8), level) for level in (10, 200)]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert plain((8, 8), 1).decode_bytes(content).unique().tolist() == [10]


@pytest.mark.parametrize(("size", "crop"), [((28, 28), 1.0), ((32, 20), 0.875)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_the_drafts_of_jpeg_change_little(
    kind: str, size: tuple[int, int], crop: float, channels: int, encode: Callable[..., bytes]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)
    second = {"save_all": True, "append_images": [picture]} if kind == "MPO" else {}
    content = encode(picture, kind, quality=90, **second)
    read = plain(size, channels, crop=crop)
    drafted = read.decode_bytes(content)
    whole = read.convert(Image.open(io.BytesIO(content)))
    assert not torch.equal(drafted, whole)  # or nothing is tested here
    # two levels of 255 on noise, the worst case; photographs: see benchmarks/decode_speed.py
    assert (drafted.float() - whole.float()).abs().mean() < 2


def test_too_large_to_open(encode: Callable[..., bytes]) -> None:
    small = encode(np.zeros((4, 4), np.uint8))
    # the header alone declares the size
    for side in (100_000, 14_000):  # Pillow's limit is a side of 13,377
        header = b"IHDR" + struct.pack(">II", side, side) + small[24:29]
        bomb = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
        with pytest.raises(AllmlpError, match="too large"):
            GREY.decode_bytes(bomb)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PCX", "ICO"])
def test_formats_that_are_programs_or_rare_are_refused(
    encode: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def run(*_: object, **__: object) -> None:
        raise AssertionError("Pillow gives EPS to Ghostscript")

    monkeypatch.setattr(subprocess, "Popen", run)
    with pytest.raises(AllmlpError, match="no image format that is read here"):
        COLOUR.decode_bytes(encode(np.zeros((16, 16, 3), np.uint8), kind))


def exif(kind: int, count: int, value: bytes) -> bytes:
    """One entry, the orientation."""
    entry = struct.pack("<HHI", 0x0112, kind, count) + value
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


@pytest.mark.parametrize(
    "block",
    [
        exif(2, 4, b"up!\0"),  # text
        exif(11, 1, struct.pack("<f", float("nan"))),
        exif(7, 4, b"\xff\xff\xff\xff"),
        exif(3, 1, struct.pack("<I", 9)),  # no orientation
        exif(5, 1, struct.pack("<I", 10**6)),  # a fraction that lies outside
        b"Exif\0\0II",
    ],
)
def test_an_orientation_that_means_nothing_is_none(
    encode: Callable[..., bytes], block: bytes
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    for kind in ("PNG", "JPEG"):
        plain, odd = (COLOUR.decode_bytes(encode(pixels, kind, exif=e)) for e in (b"", block))
        assert torch.equal(plain, odd)


def test_damage_that_pillow_can_live_with_warns_nobody(encode: Callable[..., bytes]) -> None:
    # warnings are errors in these tests
    data = encode(np.zeros((4, 4, 3), np.uint8), "JPEG", exif=exif(3, 1, b"\6\0\0\0")[:-9])
    assert COLOUR.decode_bytes(data).shape[0] == 3


@given(st.binary(max_size=200))
@example(b"GIF89a" + bytes(20))
@example(b"\x89PNG\r\n\x1a\n" + bytes(30))
@example(b"II*\x00" + bytes(30))
def test_no_bytes_do_more_than_fail(content: bytes) -> None:
    with pytest.raises(AllmlpError):
        COLOUR.decode_bytes(content)
