"""Photos as phones take them: turned, with a place, a device and a preview in their metadata."""

import io
import random
from typing import Final

from PIL import Image
from PIL.ExifTags import IFD, Base

MARKER: Final = b"MARKER-OF-A-DEVICE"
"""Stands in a photo's metadata."""
CAPE_TOWN: Final = {1: "S", 2: (33.0, 55.0, 29.5), 3: "E", 4: (18.0, 25.0, 26.8)}
"""The place, as EXIF has it."""


def photo(size: tuple[int, int], orientation: int = 1, bytes_at_least: int = 0) -> bytes:
    """Return a JPEG of this size, as the sensor sees it, whose camera was held as ``orientation`` says.

    ``bytes_at_least``: of the file. A phone's photo is large by the noise of its sensor.
    """
    noise = random.Random(size[0])
    small = Image.frombytes("RGB", (8, 8), noise.randbytes(192))
    picture = small.resize(size, Image.Resampling.BILINEAR)
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    exif[Base.Make] = MARKER.decode()
    exif.get_ifd(IFD.GPSInfo).update(CAPE_TOWN)
    if bytes_at_least:
        noisy = Image.frombytes("RGB", (512, 512), noise.randbytes(512 * 512 * 3)).resize(
            size, Image.Resampling.NEAREST
        )
        picture = Image.blend(picture, noisy, 0.15)
    for quality in (85, 92, 96, 99):
        target = io.BytesIO()
        picture.save(target, "JPEG", quality=quality, exif=exif, comment=MARKER)
        if target.tell() >= bytes_at_least:
            return target.getvalue()
    return target.getvalue() + b"\0" * (bytes_at_least - target.tell())
