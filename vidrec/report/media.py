"""Pictures and videos inside a page, as data: URIs, within a limit for the whole page."""

import base64
import io
from pathlib import Path

from PIL import Image, features

MOST_BYTES = 2_100_000  # of all media of a page; a third more as text
_SMALL = 120_000  # bytes of a PNG that stays as it is
_WIDEST = 1600  # pixels


class Media:
    """Embeds files until MOST_BYTES are used up; further ones are linked."""

    def __init__(self) -> None:
        self.left = MOST_BYTES

    def uri(self, path: Path) -> str | None:
        """The data: URI of a picture or video; None if there is no room, or no such file."""
        if not path.is_file():
            return None
        kind, content = ("video/mp4", path.read_bytes()) if path.suffix == ".mp4" else _small(path)
        if len(content) > self.left:
            return None
        self.left -= len(content)
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _small(path: Path) -> tuple[str, bytes]:
    """MIME type and content of a picture; large ones are compressed again."""
    content = path.read_bytes()
    if len(content) <= _SMALL or not features.check("webp"):
        return "image/png", content
    with Image.open(path) as file:
        picture = file.convert("RGB")
        if picture.width > _WIDEST:
            height = round(picture.height * _WIDEST / picture.width)
            picture = picture.resize((_WIDEST, height), Image.Resampling.LANCZOS)
        packed = io.BytesIO()
        picture.save(packed, "webp", quality=80)
    return "image/webp", packed.getvalue()
