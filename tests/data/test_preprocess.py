import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allmlp.data import ImageSet, Preprocess, load_source
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
