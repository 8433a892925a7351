"""Pictures for tests, made on the spot, and what is asked with them."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from PIL import Image

from graph.services import Services

SECRET = b"SECRET-CAMERA"
BLACK = ["How long does black tea steep?", "Black tea steeps for four minutes."]
"""What a model makes of "And black tea?", and its answer."""


def picture(kind: str = "PNG", size: tuple[int, int] = (60, 40), colour: str = "red", mode: str = "RGB", **options: Any) -> bytes:
    """The bytes of a picture's file of one colour."""
    file = BytesIO()
    Image.new(mode, size, colour).save(file, kind, **options)
    return file.getvalue()


def photo(orientation: int = 6) -> bytes:
    """A JPEG as a camera writes it: turned, with its maker in the EXIF data and a comment."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, SECRET.decode()
    return picture("JPEG", exif=exif, comment=SECRET)


def animation(kind: str = "GIF") -> bytes:
    """Two frames, the first one red."""
    return picture(kind, save_all=True, append_images=[Image.new("RGB", (60, 40), "blue")])


def data_url(data: bytes, mime: str = "image/png") -> str:
    """As a data: URL."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def opened(data: bytes) -> Image.Image:
    """The decoded picture."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def eyes(services: Services, *specs: str) -> None:
    """These models see."""
    home = services.settings.home
    home.mkdir(exist_ok=True)
    (home / "prices.toml").write_text("".join(f'["{spec}"]\nvision = true\n' for spec in specs), encoding="utf-8")


def pictures_of(sent: list[Any]) -> list[str]:
    """The base64 of the pictures in a call's last message."""
    return [] if isinstance(sent[-1].content, str) else [part["base64"] for part in sent[-1].content if part["type"] == "image"]
