"""The certificates that are no longer let in: a file's list, read again when the file changes."""

import asyncio
from pathlib import Path
from typing import Final

from caretree.config.deny_list import read_deny_list
from caretree.config.errors import ConfigError
from caretree.model.ids import Digest
from caretree.telemetry.logs import Logger
from caretree.telemetry.metrics import Metrics, ReloadedFile

LOOK_S: Final = 1.0

# Of a file that was put in place of another at least one of these is new.
_Stamp = tuple[int, ...]


class DenyList:
    """The list in force; empty where no file is configured.

    Raises:
        ConfigError: the file cannot be read, or a line of it is none.
    """

    def __init__(self, path: Path | None, *, metrics: Metrics, log: Logger) -> None:
        self._path = path
        self._metrics = metrics
        self._log = log
        self._denied: frozenset[Digest] = frozenset()
        self._stamp: _Stamp | None = None
        self._failed: _Stamp | None = ()
        if path is not None:
            self._stamp = _stamp(path)
            self._use(read_deny_list(path))

    def names(self, fingerprint: Digest) -> bool:
        """Whether the certificate with this SHA-256 of its DER is no longer let in."""
        return fingerprint in self._denied

    def look(self) -> None:
        """Read the file again when it has changed.

        A file that is no list leaves the one before in force, for whoever it names must stay out.
        It is read again at every look, for what kept it from being read may have passed; it is
        told once.
        """
        if self._path is None:
            return
        found = _stamp(self._path)
        if found == self._stamp:
            return
        try:
            self._use(read_deny_list(self._path))
        except ConfigError as error:
            if found == self._failed:
                return
            self._failed = found
            self._metrics.reload_failed(ReloadedFile.DENY_LIST)
            self._log.error("deny list not read, the one before stays in force", why=str(error))
        else:
            self._stamp, self._failed = found, ()
            self._log.info("deny list read", certificates=len(self._denied))

    def _use(self, denied: frozenset[Digest]) -> None:
        self._denied = denied
        self._metrics.deny_list_read(certificates=len(denied))


async def keep_looking(deny_list: DenyList, *, asked: asyncio.Event) -> None:
    """Look at the file for ever, once a second, and at once when asked."""
    while True:
        try:
            async with asyncio.timeout(LOOK_S):
                await asked.wait()
        except TimeoutError:
            pass
        asked.clear()
        await asyncio.to_thread(deny_list.look)


def _stamp(path: Path) -> _Stamp | None:
    try:
        facts = path.stat()
    except OSError:
        return None  # reading it says why
    return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino
