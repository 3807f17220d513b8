"""Every kind of picture becomes upright RGB; every damaged one is an error that names it."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from debias.data.pictures.image_headers import header_size
from debias.data.pictures.images import read_image, read_mask
from tests.data.small_pictures import noise, write_png

TURN_CLOCKWISE = (
    6  # the EXIF orientation of a picture that is upright after a quarter turn clockwise
)


def smooth(height: int = 64, width: int = 96) -> Image.Image:
    return Image.fromarray(
        cv2.resize(noise(0, 4, 6), (width, height), interpolation=cv2.INTER_CUBIC)
    )


def encoded(image: Image.Image, kind: str, *, exif: int | None = None) -> bytes:
    stream = io.BytesIO()
    tags = Image.Exif()
    if exif is not None:
        tags[0x0112] = exif
    image.save(stream, kind, exif=tags)
    return stream.getvalue()


def test_channels_come_red_first(tmp_path: Path) -> None:
    pixels = np.uint8([[[10, 20, 30], [40, 50, 60]]])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)


def test_greyscale_is_repeated_over_the_channels(tmp_path: Path) -> None:
    Image.fromarray(np.uint8([[7, 200]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[7, 7, 7], [200, 200, 200]]])


def test_palette_gives_its_colours(tmp_path: Path) -> None:
    indexed = Image.fromarray(np.uint8([[1, 0]])).convert("P")
    indexed.putpalette([1, 2, 3, 250, 120, 60])
    indexed.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[250, 120, 60], [1, 2, 3]]])


def test_transparency_is_dropped_and_the_colour_beneath_kept(tmp_path: Path) -> None:
    Image.fromarray(np.uint8([[[9, 8, 7, 0], [6, 5, 4, 255]]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[9, 8, 7], [6, 5, 4]]])


def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.uint16([[0x1234, 0xFE01]]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], [[0x12, 0xFE]])


def test_cmyk_equals_pillows_conversion(tmp_path: Path) -> None:
    smooth().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    expected = np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB")).astype(int)
    assert np.abs(read_image(tmp_path / "a.jpg") - expected).max() <= 2


def test_rgb_jpeg_equals_pillows_decoding(tmp_path: Path) -> None:
    smooth().save(tmp_path / "a.jpg")
    expected = np.asarray(Image.open(tmp_path / "a.jpg")).astype(int)
    assert np.abs(read_image(tmp_path / "a.jpg") - expected).max() <= 2


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("sampling", ["411", "420", "422", "440", "444", "grey"])
def test_a_jpeg_has_the_pixels_that_opencv_decodes(
    tmp_path: Path, sampling: str, progressive: int
) -> None:
    """Odd sizes too; caches that OpenCV filled stay valid."""
    grey = sampling == "grey"
    factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{'444' if grey else sampling}")
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    for height, width in ((64, 96), (37, 51), (1, 9)):
        pixels = np.asarray(smooth(height, width))
        stored = pixels[..., 0] if grey else pixels
        _, data = cv2.imencode(".jpg", stored, list(map(int, options)))
        (tmp_path / "a.jpg").write_bytes(data.tobytes())
        expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_rotation_is_applied(tmp_path: Path, kind: str) -> None:
    """Stored: left half 0, right half 255. A quarter turn clockwise: the left edge is on top."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, 16:] = 255
    (tmp_path / "a").write_bytes(encoded(Image.fromarray(stored), kind, exif=TURN_CLOCKWISE))
    image = read_image(tmp_path / "a")
    assert image.shape == (32, 16, 3)
    assert image[:16].max() == 0
    assert image[16:].min() == 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.97])
def test_a_file_cut_short_is_named(tmp_path: Path, kind: str, share: float) -> None:
    data = encoded(smooth(), kind)
    path = tmp_path / "short"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=rf"{path}.*(truncated|cannot be decoded).*remove its row"):
        read_image(path)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_jpeg_is_found_in_spite_of_its_thumbnails_end_marker(
    tmp_path: Path, share: float
) -> None:
    data, thumbnail = encoded(smooth(), "JPEG"), encoded(smooth(8, 8), "JPEG")
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = data[:2] + segment + data[2:]
    (tmp_path / "whole.jpg").write_bytes(data)
    assert read_image(tmp_path / "whole.jpg").shape == (64, 96, 3)
    kept = len(segment) + int(share * (len(data) - len(segment)))
    (tmp_path / "cut.jpg").write_bytes(data[:kept])
    with pytest.raises(ValueError, match=r"cut\.jpg \(\d+ bytes\) is truncated"):
        read_image(tmp_path / "cut.jpg")


def first_scan(data: bytes) -> int:
    """Where the coded picture of a JPEG that Pillow wrote begins."""
    place = data.index(b"\xff\xda")
    return place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_that_is_damaged_in_the_middle_is_named(
    tmp_path: Path, mode: str, progressive: bool
) -> None:
    """A disk's lost block, which comes back as zeros; OpenCV gives a picture all the same."""
    picture = Image.fromarray(noise(0, 200, 300)).convert(mode)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95, progressive=progressive)
    data = bytearray(stream.getvalue())
    (tmp_path / "whole.jpg").write_bytes(data)
    assert read_image(tmp_path / "whole.jpg").shape == (200, 300, 3)
    middle = (first_scan(data) + len(data)) // 2
    data[middle : middle + 512] = bytes(512)
    (tmp_path / "hole.jpg").write_bytes(data)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
    with pytest.raises(
        ValueError, match=r"hole\.jpg .*damaged \(Corrupt JPEG data: .*save it again"
    ):
        read_image(tmp_path / "hole.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_header_states_the_size_of_every_kind(tmp_path: Path, kind: str, lossless: bool) -> None:
    options = {"lossless": lossless, "exif": Image.Exif()} if kind == "WEBP" else {}
    stream = io.BytesIO()
    smooth(30, 70).save(stream, kind, **options)
    assert header_size(stream.getvalue()) == (70, 30)


def test_headers_of_other_programs_state_their_size() -> None:
    """A WebP with a header for transparency, a big-endian TIFF, a BMP from the top, no picture."""
    stream = io.BytesIO()
    Image.new("RGBA", (70, 30), (1, 2, 3, 4)).save(stream, "WEBP")
    assert stream.getvalue()[12:16] == b"VP8X"
    assert header_size(stream.getvalue()) == (70, 30)
    entries = [struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in ((256, 70), (257, 30))]
    assert header_size(b"MM\0*" + struct.pack(">IH", 8, 2) + b"".join(entries)) == (70, 30)
    assert header_size(b"BM" + bytes(16) + struct.pack("<ii", 70, -30)) == (70, 30)
    for data in (
        b"",
        b"\xff\xd8",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"RIFF0000WEBPVP8L",
        b"x",
    ):
        assert header_size(data) is None


def bomb(side: int) -> bytes:
    """A PNG whose header states more pixels than anybody can hold, and that has none."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + crc
        + struct.pack(">I", 0)
        + b"IEND\xaeB`\x82"
    )


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb(30_000))
    monkeypatch.setattr(cv2, "imdecode", lambda *data: pytest.fail("decoded"))
    message = r"bomb\.png has 30,000 x 30,000 pixels, more than data\.max_pixels=100000000 in all"
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match=message):
        read_mask(tmp_path / "bomb.png", (30_000, 30_000))


@pytest.mark.parametrize("kind", ["PNG", "PPM"])
def test_the_limit_of_pixels_can_be_set(tmp_path: Path, kind: str) -> None:
    """Of a format whose header nobody reads, such as PPM, the decoded pixels count."""
    (tmp_path / "a").write_bytes(encoded(smooth(20, 30), kind) if kind == "PNG" else ppm(20, 30))
    assert read_image(tmp_path / "a", max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(
        ValueError, match=r"a has 30 x 20 pixels, more than data\.max_pixels=599 in all"
    ):
        read_image(tmp_path / "a", max_pixels=599)


def ppm(height: int, width: int) -> bytes:
    return f"P6 {width} {height} 255\n".encode() + bytes(3 * height * width)


@pytest.mark.parametrize("behind", [b"trailing bytes", b"\x00\xff\xda\x00", b"\xff\xd9\xff\xda"])
def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path: Path, behind: bytes) -> None:
    """Such as a motion photo's film, which may hold markers; and fill bytes may precede one."""
    data = encoded(smooth(), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "b.jpg").write_bytes(data[:2] + b"\xff\xff" + data[2:] + behind)
    assert np.array_equal(read_image(tmp_path / "a.jpg"), read_image(tmp_path / "b.jpg"))


def test_what_is_no_picture_or_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match=r"notes\.jpg \(13 bytes\) cannot be decoded"):
        read_image(tmp_path / "notes.jpg")
    with pytest.raises(ValueError, match=r"gone\.jpg \(No such file"):
        read_image(tmp_path / "gone.jpg")


def test_mask_values_are_kept_and_zero_one_is_stretched(tmp_path: Path) -> None:
    write_png(tmp_path / "soft.png", np.uint8([[0, 51, 255]]))
    write_png(tmp_path / "binary.png", np.uint8([[0, 1, 1]]))
    write_png(tmp_path / "empty.png", np.uint8([[0, 0, 0]]))
    np.testing.assert_array_equal(read_mask(tmp_path / "soft.png", (1, 3)), [[0, 51, 255]])
    np.testing.assert_array_equal(read_mask(tmp_path / "binary.png", (1, 3)), [[0, 255, 255]])
    np.testing.assert_array_equal(read_mask(tmp_path / "empty.png", (1, 3)), [[0, 0, 0]])


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.uint16([[0, 1, 1]]), [[0, 255, 255]]),
        (np.uint16([[0, 255, 0]]), [[0, 255, 0]]),
        (np.uint16([[0, 65535, 0]]), [[0, 255, 0]]),
        (np.uint16([[0, 51, 255]]), [[0, 51, 255]]),
        (np.uint16([[0, 0x3312, 0xFE01]]), [[0, 0x33, 0xFE]]),
        (np.uint16([[0, 300, 0]]), [[0, 255, 0]]),
    ],
)
def test_sixteen_bits_hold_a_mask_of_zeros_and_ones_of_bytes_or_of_sixteen_bits(
    tmp_path: Path, stored: NDArray[np.uint16], expected: list[list[int]]
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), stored)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", (1, 3)), expected)


def test_a_dark_colour_beside_black_is_foreground(tmp_path: Path) -> None:
    """Red of 128, of brightness 38, is the colour of the first class of VOC."""
    indexed = Image.fromarray(np.uint8([[1, 0]])).convert("P")
    indexed.putpalette([0, 0, 0, 128, 0, 0])
    indexed.save(tmp_path / "palette.png")
    write_png(tmp_path / "rgb.png", np.uint8([[[128, 0, 0], [0, 0, 0]]]))
    for name in ("palette.png", "rgb.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name, (1, 2)), [[255, 0]])


@pytest.mark.parametrize(
    "stored",
    [np.uint8([[0, 1], [2, 2]]), np.uint16([[1, 1], [2, 2]]), np.uint8([[0, 17], [44, 1]])],
)
def test_numbers_of_classes_are_refused(tmp_path: Path, stored: NDArray[np.uint16]) -> None:
    """Unless the caller takes all of them for foreground."""
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), stored)
    values = ", ".join(map(str, np.unique(stored[stored > 0])))
    with pytest.raises(
        ValueError,
        match=f"mask {path} has no foreground from 128 on, but values {values}, which look like",
    ):
        read_mask(path, (2, 2))
    np.testing.assert_array_equal(read_mask(path, (2, 2), threshold=1), stored)


def test_masks_of_floats_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tiff"), np.float32([[0, 1]]))
    with pytest.raises(
        ValueError, match=r"a\.tiff contains float32 numbers: save it as a greyscale PNG"
    ):
        read_mask(tmp_path / "a.tiff", (1, 2))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_masks_of_eight_bits_are_what_opencv_reads(tmp_path: Path, kind: str, mode: str) -> None:
    """Bright ones, and soft ones that are dark throughout; upright."""
    for brightness in (1.0, 0.45):
        data = encoded(
            ImageEnhance.Brightness(smooth()).enhance(brightness).convert(mode),
            kind,
            exif=TURN_CLOCKWISE,
        )
        (tmp_path / "mask").write_bytes(data)
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert (expected.max() < 128) == (brightness < 1)
        np.testing.assert_array_equal(read_mask(tmp_path / "mask", expected.shape), expected)


def test_one_bit_mask_is_zero_or_255(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", (1, 2)), [[255, 0]])


def test_mask_of_another_size_names_both_sizes(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((4, 7), np.uint8))
    with pytest.raises(ValueError, match=r"a\.png has width x height 7x4.*9x4.*resize the mask"):
        read_mask(tmp_path / "a.png", (4, 9))


@pytest.mark.parametrize("values", [(0, 204), (0, 51, 204)])
def test_a_high_threshold_is_not_overruled(tmp_path: Path, values: tuple[int, ...]) -> None:
    """Who asks for full confidence alone gets none of 204: bright values are neither dark colours
    nor class numbers.
    """
    mask = np.resize(np.array(values, np.uint8), (4, 4))
    Image.fromarray(mask).save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png", (4, 4), threshold=255), mask)
