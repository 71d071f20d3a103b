"""Doctor's checks of pictures and files: where the Rasa server keeps them, and whether customers' vendors can fetch them."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rasa_handoff.cli.database import relays_database
from rasa_handoff.cli.findings import Finding, mend, ok, warn
from rasa_handoff.cli.project import Project
from rasa_handoff.protocol.channel_capabilities import STOCK_CHANNELS
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME, read_settings
from rasa_handoff.protocol.errors import SettingsError

OWN_CLIENTS: Final = frozenset({"socketio", "rest", "callback", "twilio_voice"})
"""Rasa's channels whose clients are the project's own, or hear only."""


def check_media(project: Project) -> Iterator[Finding]:
    """Say where pictures and files are kept, and what keeps customers from getting them."""
    try:
        settings = read_settings(project.channel)
    except SettingsError:  # another check reports it
        return
    where, trouble = settings.media, None
    try:
        from rasa_handoff.media.media_store import NOWHERE, folder_beside

        where = settings.media or folder_beside(relays_database(project))
        if settings.media and "://" not in settings.media and settings.media != NOWHERE:
            where = str(project.folder / settings.media)  # Rasa is started there
        if where is not None and where != NOWHERE:
            trouble = asyncio.run(_trouble_with(where))
    except ModuleNotFoundError:  # no relay can run here; another check reports the package
        return
    except SettingsError as problem:
        yield mend(f"{CHANNEL_NAME}: media: {problem}")
        return
    if settings.media == NOWHERE:
        yield ok("The Rasa server keeps no pictures and files (media: off).")
    elif where is None:
        yield warn(
            f"{CHANNEL_NAME}: pictures and files are told in words, since nothing says where they are kept: write media: with a "
            "folder that all Rasa processes share, or s3://bucket/prefix (docs/pictures-and-files.md)."
        )
    elif trouble is not None:
        yield mend(f"{CHANNEL_NAME}: media: {where.partition('?')[0]} {trouble}.")
    else:
        yield ok(f"The Rasa server's pictures and files are in {where.partition('?')[0]}.")
        vendors = [name for name in settings.channels if name in STOCK_CHANNELS and name not in OWN_CLIENTS]
        if vendors and settings.public_url is None:
            yield warn(
                f"{CHANNEL_NAME}: customers on {', '.join(vendors)} get no pictures and files from agents, since their vendor "
                "doesn't know where to fetch them: write public_url: with the address at which it reaches this Rasa server."
            )


async def _trouble_with(where: str) -> str | None:
    """Return what is wrong with a media store, and what to do; None if it keeps, gives out and deletes a small file.

    Folders that aren't there yet are left to the Rasa server, whose user may be another.

    Raises:
        SettingsError: the address can't be used.
    """
    from rasa_handoff.media.media_errors import MediaAway, MediaFull
    from rasa_handoff.media.media_store import S3, open_media_store

    folders = () if where.startswith(S3) else (Path(where, "incoming"), Path(where), *Path(where).parents)
    new = [folder for folder in folders if not folder.exists()]
    try:
        async with open_media_store(where, hurried=True) as store:
            await store.probe()
    except MediaFull as problem:
        return f"has no room ({problem.reason}): make some"
    except MediaAway as problem:
        advice = problem.advice or "look whether it can be reached from here, and whether its address is right"
        return f"can't be used ({problem.reason}): {advice}"
    finally:
        for folder in new:
            with contextlib.suppress(OSError):
                folder.rmdir()
    return None
