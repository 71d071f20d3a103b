"""Pictures are decoded and written anew: upright, without what a camera has noted (place, device, preview), and not too large.

What comes out is JPEG, PNG or GIF, which every channel and every browser shows. A picture that would take too much memory, or
can't be decoded, is refused. Decoding takes tens to hundreds of megabytes for a moment, so one picture is cleaned at a time in
each process, in a thread.
"""

import threading
import warnings
from pathlib import Path
from typing import IO, Any, Final

import pi_heif  # type: ignore[import-untyped]
from PIL import Image, ImageSequence, UnidentifiedImageError

from rasa_handoff.media.media_errors import DAMAGED, TOO_LARGE, MediaRefused
from rasa_handoff.media.media_store import private

LONGEST_SIDE: Final = 4_096
"""Pixels of the longer side; a larger picture is made smaller."""
LEAST_SIDE: Final = 3_000
"""Pixels of the longer side that are left, if the decoder of a JPEG makes it smaller."""
MOST_PIXELS: Final = 40_000_000
"""Pixels of a picture that is decoded, all of its frames together."""
MOST_JPEG_PIXELS: Final = 210_000_000
"""The same of a JPEG, which a decoder makes smaller while it reads: the largest photo that phones take."""
MOST_HEIC_PIXELS: Final = 50_000_000
"""The same of a HEIC: the largest that phones take, 48 megapixels, which is decoded as a whole."""
MOST_FRAMES: Final = 500
QUALITY: Final = 88
ORIENTATION: Final = 0x0112
"""The EXIF tag that says how the camera was held."""
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
JPEGS: Final = ("JPEG", "MPO")
"""MPO: a photo with a second one behind it, such as a preview."""
HEIC: Final = "HEIF"
"""Pillow's name of what iPhones take."""
FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF", HEIC)
"""What Pillow may try to decode: its other decoders, for rare formats, are where its holes were."""
WRITTEN: Final = frozenset({"image/jpeg", "image/png", "image/gif"})
"""The types that come out."""
UNREADABLE: Final = "This picture can't be read: it may be damaged. Please send it again."
TOO_MANY_PIXELS: Final = "This picture has too many pixels. Please send a smaller one."

_one_at_a_time: Final = threading.Lock()
pi_heif.options.DECODE_THREADS = 1
pi_heif.register_heif_opener(thumbnails=False)


def clean(source: Path, target: Path) -> str:
    """Write the picture ``source`` anew as ``target``, and return its type. Blocks: call it in a thread.

    Raises:
        MediaRefused: it has too many pixels, or can't be decoded.
        OSError: the disk has no room for it.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, which is thrown away
        try:
            frames, is_photo = _decoded(source)
            return _written(frames, is_photo, target)
        except (MediaRefused, MemoryError):
            raise
        except UnidentifiedImageError as problem:
            raise MediaRefused(DAMAGED, UNREADABLE) from problem
        except Image.DecompressionBombError as problem:
            raise MediaRefused(TOO_LARGE, TOO_MANY_PIXELS) from problem
        except OSError as problem:
            if problem.errno is not None:
                raise
            raise MediaRefused(DAMAGED, UNREADABLE) from problem
        except Exception as problem:  # a decoder may raise anything for a damaged file
            raise MediaRefused(DAMAGED, UNREADABLE) from problem


def _decoded(source: Path) -> tuple[list[tuple[Any, int]], bool]:
    """Return the frames, upright and in colours that every writer takes, each with its duration in milliseconds; and whether
    a camera took it, as far as its format says.
    """
    with Image.open(source, formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > _most_pixels(picture):
            raise MediaRefused(TOO_LARGE, TOO_MANY_PIXELS)
        scale = next((one for one in (8, 4, 2) if max(width, height) // one >= LEAST_SIDE), 1)
        picture.draft(None, (width // scale, height // scale))  # so a JPEG is decoded at a half, a quarter or an eighth
        frames: list[tuple[Any, int]] = []
        # Only GIF keeps its movement: of the others few channels show it.
        for frame in ImageSequence.Iterator(picture) if picture.format == "GIF" else (picture,):
            if len(frames) == MOST_FRAMES or (frames and (len(frames) + 1) * width * height > MOST_PIXELS):
                return frames[:1], False
            duration = int(frame.info.get("duration", 100) or 100)
            frames.append((_upright(frame), duration))
        return frames, picture.format in (*JPEGS, HEIC)


def _most_pixels(picture: Any) -> int:
    """Return how many pixels a picture of this format may have."""
    if picture.format == HEIC:
        return MOST_HEIC_PIXELS
    # A progressive JPEG is decoded in memory as a whole, however small it is to become.
    return MOST_JPEG_PIXELS if picture.format in JPEGS and not picture.info.get("progressive") else MOST_PIXELS


def _upright(frame: Any) -> Any:
    """Return a copy of a frame that is turned as the camera was held, and in RGB or RGBA.

    Only pixels are copied, so nothing of its metadata is left. It is made smaller first: what follows then takes little memory.
    """
    frame.load()
    turn = TURNS.get(frame.getexif().get(ORIENTATION, 1))
    mode = "RGBA" if "A" in frame.getbands() or "transparency" in frame.info else "RGB"
    plain = _eight_bits(frame)
    if plain.mode != mode or frame.format == "GIF":  # whose frames come from one object
        plain = plain.convert(mode)
    plain.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    upright = plain if turn is None else plain.transpose(turn)
    bare = Image.new(mode, upright.size)
    bare.paste(upright)
    return bare


def _eight_bits(frame: Any) -> Any:
    """Return a grey picture of 16 bits with 8, which ``convert`` would cut instead of scaling."""
    if frame.mode.startswith("I"):
        return frame.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return frame


def _written(frames: list[tuple[Any, int]], is_photo: bool, target: Path) -> str:
    """Write the frames into a new file that is its owner's alone, and return its type."""
    with open(target, "xb", opener=private) as file:
        return _encoded(frames, is_photo, file)


def _encoded(frames: list[tuple[Any, int]], is_photo: bool, file: IO[bytes]) -> str:
    picture, _ = frames[0]
    if len(frames) > 1:
        more = [frame for frame, _ in frames[1:]]
        durations = [duration for _, duration in frames]
        picture.save(file, "GIF", save_all=True, append_images=more, duration=durations, loop=0)
        return "image/gif"
    if picture.mode == "RGBA" or (not is_photo and _has_few_colours(picture)):
        picture.save(file, "PNG")
        return "image/png"
    picture.save(file, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return "image/jpeg"


def _has_few_colours(picture: Any) -> bool:
    """Return whether this looks like a drawing or a screenshot, whose letters JPEG would smear."""
    small = picture.resize((min(picture.width, 512), min(picture.height, 512)), Image.Resampling.NEAREST)
    return small.getcolors(max(256, small.width * small.height // 64)) is not None
