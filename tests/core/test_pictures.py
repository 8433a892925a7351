"""Checking pictures: what is taken, what is refused, and what is left of it."""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import InputError
from core.pictures import LONGEST, MOST, MOST_BYTES, MOST_PIXELS, Picture, Source, open_pictures, thumbnail
from tests.pictures import SECRET, animation, data_url, opened, photo, picture

RED = (255, 0, 0)


def one(source: Source, **options: bool) -> Picture:
    (found,) = open_pictures([source], **options)
    return found


@pytest.mark.parametrize(
    ("data", "mime"),
    [(picture("PNG"), "image/png"), (picture("JPEG"), "image/jpeg"), (picture("GIF"), "image/png"), (picture("WEBP"), "image/jpeg")],
    ids=["png", "jpeg", "gif", "webp"],
)
def test_four_formats_become_two(data: bytes, mime: str) -> None:
    found = one(data)
    assert (found.mime, found.name, found.notice) == (mime, "picture 1", "")
    image = opened(found.data)
    assert (image.size, image.get_format_mimetype()) == ((60, 40), mime)
    assert sum(abs(a - b) for a, b in zip(image.convert("RGB").getpixel((30, 20)), RED, strict=True)) < 12  # type: ignore[arg-type]


def test_nothing_but_pixels_is_left_and_they_stand_upright() -> None:
    data = photo(orientation=6)
    assert data.count(SECRET) == 2
    found = one(data)
    image = opened(found.data)
    assert SECRET not in found.data
    assert (dict(image.getexif()), image.info.get("comment"), image.size) == ({}, None, (40, 60))


def test_a_colour_profile_and_the_text_of_a_png_go() -> None:
    from PIL.PngImagePlugin import PngInfo

    written = PngInfo()
    written.add_text("Author", SECRET.decode())
    data = picture("PNG", pnginfo=written, icc_profile=SECRET)
    assert b"Author" in data
    found = one(data)
    assert found.data.count(b"Author") == found.data.count(b"iCCP") == found.data.count(SECRET) == 0


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", "red"), ("P", 0), ("LA", 9), ("1", 1), ("I;16", 40_000), ("L", 9)])
def test_every_mode_of_a_png(mode: str, colour: object) -> None:
    found = one(picture("PNG", mode=mode, colour=colour))  # type: ignore[arg-type]
    assert opened(found.data).size == (60, 40)


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped() -> None:
    drawn = Image.new("I;16", (256, 1))
    for x in range(256):
        drawn.putpixel((x, 0), x * 257)
    file = BytesIO()
    drawn.save(file, "PNG")
    seen = opened(one(file.getvalue()).data).convert("L")
    assert [seen.getpixel((x, 0)) for x in (0, 64, 128, 255)] == [0, 64, 128, 255]


def test_cmyk_is_turned_into_what_browsers_show() -> None:
    assert opened(one(picture("JPEG", mode="CMYK")).data).mode == "RGB"


def test_a_transparent_picture_stays_transparent() -> None:
    assert opened(one(picture("PNG", mode="RGBA", colour="#ff000000")).data).getpixel((0, 0)) == (255, 0, 0, 0)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    found = one(animation(kind))
    assert found.notice == "picture 1 is animated: only its first frame is looked at."
    assert opened(found.data).convert("RGB").getpixel((30, 20))[0] > 240  # type: ignore[index]


@pytest.mark.parametrize(("kind", "size", "kept"), [("JPEG", (8000, 5000), (LONGEST, 1280)), ("PNG", (1000, 3000), (683, LONGEST))])
def test_forty_megapixels_are_scaled_down(kind: str, size: tuple[int, int], kept: tuple[int, int]) -> None:
    found = one(picture(kind, size, mode="L", colour="white"))
    assert found.notice == f"picture 1 was scaled down from {max(size):,} to 2,048 pixels on its longer side."
    assert opened(found.data).size == kept


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is so large."""
    head = struct.pack(">II", width, height)
    data = picture("PNG").replace(struct.pack(">II", 60, 40), head)
    return data.replace(data[29:33], struct.pack(">I", zlib.crc32(data[12:29])), 1)


@pytest.mark.parametrize("size", [(10_000, 5_001), (60_000, 60_000)], ids=["a little", "a bomb"])
def test_more_pixels_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"^picture 1: expected a picture of at most 50 megapixels; this one is larger\. "):
        one(claiming(*size))
    with pytest.raises(InputError, match="breaks off"):
        one(claiming(10_000, MOST_PIXELS // 10_000))


def test_a_drawing_of_many_bytes_is_sent_as_a_photograph(tmp_path: Path) -> None:
    Image.frombytes("RGBA", (900, 900), os.urandom(900 * 900 * 4)).save(tmp_path / "noise.png")
    found = one(tmp_path / "noise.png", files=True)
    assert (found.name, found.mime) == ("noise.png", "image/jpeg")
    assert len(found.data) < (tmp_path / "noise.png").stat().st_size / 2


NOT_ONE = "expected a PNG, JPEG, GIF or WebP picture; this is something else. Convert it first."
DAMAGED = "this picture is damaged or breaks off. Save it anew, or choose another one."


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "expected a picture; the file is empty. Choose another one."),
        (b"Dear Sir, I am a picture.", NOT_ONE),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', NOT_ONE),
        (picture("BMP"), NOT_ONE),
        (picture("TIFF"), NOT_ONE),
        (picture("PNG")[:60], DAMAGED),
        (picture("JPEG", (400, 400))[:-200], DAMAGED),
        (picture("WEBP", (400, 400))[:-20], DAMAGED),
        (picture("PNG").replace(b"IDATx", b"IDAT\0"), DAMAGED),
    ],
    ids=["empty", "text", "svg", "bmp", "tiff", "cut png", "cut jpeg", "cut webp", "broken png"],
)
def test_what_is_no_picture_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        one(data)
    assert str(caught.value) == f"picture 1: {says}"


def test_the_name_of_a_file_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "photo.svg").write_bytes(picture("PNG"))
    assert one(str(tmp_path / "photo.svg"), files=True).mime == "image/png"
    (tmp_path / "photo.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"^photo\.png: expected a PNG"):
        one(tmp_path / "photo.png", files=True)


@pytest.mark.parametrize(("name", "why"), [("", "Is a directory"), ("no.png", "No such file or directory"), ("a\0b", "embedded null byte")])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(InputError, match=rf"^Cannot read the picture .*: {why}\. Name a picture's file\.$"):
        one(f"{tmp_path}/{name}", files=True)


@pytest.mark.parametrize("source", ["https://example.org/a.png", "http://127.0.0.1:1/a.png", "file:///etc/passwd", "/etc/passwd", ""])
def test_nothing_is_fetched(source: str) -> None:
    with pytest.raises(InputError, match=r"^picture 1: .* got an address\. Nothing is fetched: download it\.$"):
        one(source)
    if source.startswith("http"):
        with pytest.raises(InputError, match="Nothing is fetched"):
            one(source, files=True)


def test_data_urls() -> None:
    assert one(data_url(picture(), "text/plain")).mime == "image/png"
    assert one(data_url(picture()).replace(",", ",\n ")).mime == "image/png"
    assert one("data:image/gif," + "".join(f"%{byte:02x}" for byte in picture("GIF"))).mime == "image/png"


@pytest.mark.parametrize("url", ["data:", "data:image/png;base64", "data:;base64,a", "data:;base64,%%%", f"data:{'x' * 300},"])
def test_broken_data_urls(url: str) -> None:
    with pytest.raises(InputError, match=r"^picture 1: expected a data: URL in base64, .* this one is broken\.$"):
        one(url)


def test_number_and_bytes_are_bounded(tmp_path: Path) -> None:
    assert [each.name for each in open_pictures([picture()] * MOST)] == ["picture 1", "picture 2", "picture 3", "picture 4"]
    with pytest.raises(InputError, match=r"^Expected at most 4 pictures with a question; got 5\. Leave some out\.$"):
        open_pictures([picture()] * (MOST + 1))
    (tmp_path / "large.png").write_bytes(picture() + b" " * (MOST_BYTES - len(picture()) - 50))
    assert one(tmp_path / "large.png", files=True).mime == "image/png"
    with pytest.raises(InputError, match=r"^Expected pictures of at most 10 MB together; got more\."):
        open_pictures([tmp_path / "large.png", picture()], files=True)


def test_what_was_checked_is_not_checked_again() -> None:
    found = one(animation())
    assert one(found) is found


def test_thumbnails_are_small() -> None:
    small = thumbnail(one(picture("JPEG", (4000, 3000))))
    assert small.startswith("data:image/jpeg;base64,")
    assert opened(one(small).data).size == (320, 240)


@given(st.integers(0, 3), st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_whatever_the_bytes_are_there_is_a_picture_or_one_line(which: int, at: int, noise: bytes) -> None:
    data = bytearray((picture("PNG"), picture("JPEG"), picture("GIF"), picture("WEBP"))[which])
    data[at : at + len(noise)] = noise
    try:
        assert max(opened(one(bytes(data)).data).size) <= LONGEST
    except InputError as error:
        assert "\n" not in str(error)
