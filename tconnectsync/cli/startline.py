"""The first line of every run: which version does what, from where to where, in which zone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tconnectsync import __version__
from tconnectsync.clouds import cloud_named
from tconnectsync.domain.words import ending

if TYPE_CHECKING:
    from tconnectsync.cli.options import Options
    from tconnectsync.config.settings import Settings


def start_line(options: Options, settings: Settings) -> str:
    """Return it; the pumps follow as soon as the cloud has named them.

    Of the site only the host is named, never a user and password that an address may hold.
    """
    source = source_in_words(options, settings)
    if options.import_log:
        source += ","
    elif "PUMP_SERIAL_NUMBER" in cloud_named(settings.source.name).needs:
        source += f", pump {ending(settings.source.serial_number)},"
    how = [
        *(["continuously"] if options.auto_update else []),
        *(["nothing is written (--pretend)"] if options.pretend else []),
    ]
    return (
        f"tconnectsync {__version__}: {source} to {_host(settings.nightscout.url)}"
        f"{''.join(f', {each}' for each in how)}; {', '.join(settings.sync.features)}. "
        f"Times are those of the pump, {settings.tandem.zone.key}."
    )


def source_in_words(options: Options, settings: Settings) -> str:
    """Return where the data come from: the cloud, or a file with a saved log of its pumps."""
    title = cloud_named(settings.source.name).title
    return f"{options.import_log.name}, a saved log of {title}" if options.import_log else title


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
