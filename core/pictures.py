"""Pictures that come with a question: checked, bounded, freed of their metadata, and never fetched from anywhere.

A picture is judged by its bytes, not by its name, and sent on as a JPEG or PNG that was encoded anew: what a camera or a program had
written beside the pixels (place, time, owner, thumbnails) is gone. Documents with scripts, such as SVG, are no pictures here.
In the conversation a mark takes their place: `[picture]`, or `[picture: what a model saw there]`.
"""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
MOST = 4
"""Pictures of one question."""
MOST_BYTES = 10 * 1024 * 1024
"""Of all the pictures of one question, as they come."""
MOST_PIXELS = 50_000_000
LONGEST = 2048
"""Pixels of the longer side that are kept; hosted models see no more."""
THUMBNAIL = 320
_LOSSLESS_BYTES = 1_500_000
"""Above this a drawing is sent as a JPEG, too."""
_QUALITY = 88
_DATA_URL = re.compile(r"data:[^,]{0,200},")
_MARK = re.compile(r"\s*\[(?:picture|\d+ pictures)(?:: ([^\]]*))?\]$")
_DECODING = Lock()
"""A decoded picture may take 200 MB: one at a time, however many questions there are."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture. mime: image/jpeg or image/png, which `data` is; empty before it was checked.

    notice: what was changed in a way that may matter, or nothing.
    """

    name: str
    mime: str
    data: bytes = field(repr=False)
    notice: str = ""

    @property
    def base64(self) -> str:
        """The bytes as text."""
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        """As a data: URL."""
        return f"data:{self.mime};base64,{self.base64}"


Source = str | Path | bytes | Picture
"""A path, a data: URL, or the bytes of a file; a Picture gives them a name, or was checked before."""


def open_pictures(sources: Sequence[Source], *, files: bool = False) -> tuple[Picture, ...]:
    """Check the pictures of one question. files: whether a text that is no data: URL is a path.

    Raises InputError for one that is none, too large, or on the network; for too many; and for too many bytes together.
    """
    if len(sources) > MOST:
        raise InputError(f"Expected at most {MOST} pictures with a question; got {len(sources):,}. Leave some out.")
    raw = [source if isinstance(source, Picture) else _read(source, f"picture {n}", files) for n, source in enumerate(sources, 1)]
    if sum(len(each.data) for each in raw if not each.mime) > MOST_BYTES:
        most = f"{MOST_BYTES // 1024**2} MB"
        raise InputError(f"Expected pictures of at most {most} together; got more. Make them smaller, or leave some out.")
    return tuple(each if each.mime else _checked(each) for each in raw)


def thumbnail(picture: Picture) -> str:
    """A small copy, as a data: URL."""
    with _DECODING, _pillow().open(BytesIO(picture.data)) as image:
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        return Picture(picture.name, *_encoded(image, drawing=picture.mime == "image/png")).url


def in_words(question: str, description: str) -> str:
    """The question as it would be asked by somebody who cannot show the pictures."""
    return ": ".join(part for part in (description.rstrip(".!? ") if question else description, question) if part)


def marked(question: str, pictures: int, description: str = "") -> str:
    """The question as the conversation keeps it: a mark in the place of its pictures."""
    if not pictures:
        return question
    what = "picture" if pictures == 1 else f"{pictures} pictures"
    said = f": {description.replace('[', '(').replace(']', ')')}" if description else ""
    return f"{question}\n\n[{what}{said}]".strip()


def read_mark(text: str) -> tuple[str, str]:
    """The words, and the description, if any, of a question that may be marked."""
    mark = _MARK.search(text)
    return (text[: mark.start()], mark[1] or "") if mark else (text, "")


def unmarked(text: str) -> str:
    """What a question that may be marked is `in_words`."""
    return in_words(*read_mark(text))


def _read(source: Source, name: str, files: bool) -> Picture:
    """What was given, without a type: not yet checked."""
    if isinstance(source, bytes):
        return Picture(name, "", source)
    if isinstance(source, str) and source.startswith("data:"):
        return Picture(name, "", _decoded(source, name))
    if not files or isinstance(source, Picture) or re.match(r"https?://", str(source)):
        raise InputError(f"{name}: expected the picture itself, a file or a data: URL; got an address. Nothing is fetched: download it.")
    path = Path(source)
    try:
        with path.open("rb") as file:
            return Picture(path.name, "", file.read(MOST_BYTES + 1))
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise InputError(f"Cannot read the picture {path}: {getattr(error, 'strerror', None) or error}. Name a picture's file.") from None


def _decoded(url: str, name: str) -> bytes:
    """The bytes of a data: URL (RFC 2397)."""
    head = _DATA_URL.match(url)
    try:
        if head is None:
            raise ValueError
        body = url[head.end() :]
        return base64.b64decode("".join(body.split()), validate=True) if head[0].endswith(";base64,") else unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        raise InputError(f"{name}: expected a data: URL in base64, such as data:image/png;base64,iVBOR...; this one is broken.") from None


def _checked(raw: Picture) -> Picture:
    if not raw.data:
        raise InputError(f"{raw.name}: expected a picture; the file is empty. Choose another one.")
    pillow = _pillow()
    try:
        with _DECODING, pillow.open(BytesIO(raw.data), formats=FORMATS) as image:
            return _cleaned(image, raw.name)
    except pillow.UnidentifiedImageError:
        raise InputError(f"{raw.name}: expected a PNG, JPEG, GIF or WebP picture; this is something else. Convert it first.") from None
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning, MemoryError):
        most = f"{MOST_PIXELS // 1_000_000} megapixels"
        raise InputError(f"{raw.name}: expected a picture of at most {most}; this one is larger. Make it smaller.") from None
    except Exception:  # whatever a decoder has to say of foreign bytes: OSError, SyntaxError, struct.error, zlib.error and more
        raise InputError(f"{raw.name}: this picture is damaged or breaks off. Save it anew, or choose another one.") from None


def _cleaned(image: ImageFile, name: str) -> Picture:
    """Upright, its first frame only, bounded and encoded anew."""
    from PIL import ImageOps

    # A camera's JPEG may hold a preview as a second frame, which is no animation.
    moves = image.format != "MPO" and getattr(image, "is_animated", False)
    notices = [f"{name} is animated: only its first frame is looked at."] if moves else []
    longest, drawing = max(image.size), image.format in ("PNG", "GIF")
    if longest > LONGEST:
        image.draft("RGB", (LONGEST, LONGEST))  # a JPEG is decoded at a fraction of its size, and of its memory
    upright = ImageOps.exif_transpose(image)
    if upright.mode[0] == "I":
        # 16 bits of grey, as scanners write them: to be scaled to 8, not clipped.
        upright = upright.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    seen = upright.convert("RGBA") if upright.has_transparency_data else upright.convert("RGB")
    seen.thumbnail((LONGEST, LONGEST))
    if longest > LONGEST:
        notices.append(f"{name} was scaled down from {longest:,} to {LONGEST:,} pixels on its longer side.")
    return Picture(name, *_encoded(seen, drawing=drawing), " ".join(notices))


def _encoded(image: Image, *, drawing: bool) -> tuple[str, bytes]:
    """Its MIME type and bytes, without metadata. A drawing stays sharp, and transparent, unless that takes too many bytes."""
    image.info.clear()
    if drawing:
        file = BytesIO()
        image.save(file, "PNG")
        if file.tell() <= _LOSSLESS_BYTES:
            return "image/png", file.getvalue()
    if image.mode == "RGBA":
        paper = _pillow().new("RGB", image.size, "white")
        paper.paste(image, mask=image)
        image = paper
    file = BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return "image/jpeg", file.getvalue()


@cache
def _pillow() -> ModuleType:
    """Pillow's Image, which refuses what is too large before it is decoded."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    return Image
