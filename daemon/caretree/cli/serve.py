"""`caretree serve`: one daemon from one file, until SIGTERM or a fault that it must not survive."""

import argparse
import asyncio
import gc
import os
import resource
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

import uvloop
from google.protobuf.internal import api_implementation
from prometheus_client import CollectorRegistry

from caretree.cli.errors import CommandError
from caretree.cli.home import peer_keys_of
from caretree.cli.last_words import last_words
from caretree.cli.start_files import (
    check_addresses,
    check_belongs,
    check_certificate,
    pseudonym_key,
    read_genesis,
    read_keystore,
)
from caretree.config.errors import ConfigError
from caretree.config.exit_status import ExitStatus
from caretree.config.parse import load_config
from caretree.config.values import Config, LogLevel
from caretree.crypto.custody import SystemCustody
from caretree.crypto.keystore import Keystore
from caretree.ledger.genesis import LEDGER_VERSION, Genesis
from caretree.model.errors import CaretreeError, FatalError
from caretree.node.assembly import PeerSettings
from caretree.node.clock import SystemClock
from caretree.node.deny_list import DenyList, keep_looking
from caretree.node.disk import Disk
from caretree.node.peer import Peer
from caretree.node.upkeep import keep_measuring
from caretree.rpc.server import build_server
from caretree.storage.directory import DataDirectory
from caretree.storage.files import require_free_bytes
from caretree.storage.leveldb import WRITE_BUFFER_BYTES, LevelDbStore
from caretree.storage.row_cipher import RowCipher
from caretree.storage.watermark import WatermarkFile
from caretree.telemetry.health import Health
from caretree.telemetry.logs import Logger, build_logger, capture_standard_logging
from caretree.telemetry.metrics import Metrics
from caretree.telemetry.systemd import READY, STOPPING, notify
from caretree.telemetry.writer import LineWriter

DRAIN_S: Final = 5.0
LAST_LINES_S: Final = 2.0
# LevelDB may write its log anew as a table, and begins another log, before the first row goes in.
START_BYTES: Final = 2 * WRITE_BUFFER_BYTES
# The connections of all ports and LevelDB's files; the unit's LimitNOFILE is the same.
DESCRIPTORS: Final = 4096
# New objects between two looks of the garbage collector at the youngest; Python's own is 700.
GARBAGE_THRESHOLD: Final = 50_000


class FaultError(CaretreeError):
    """The daemon ended by a mistake of its own. Carries what kind of exception it was."""

    def __init__(self, error: Exception) -> None:
        self.kind = type(error).__qualname__
        super().__init__(f"ended by a fault of its own ({self.kind}); the line before says where")


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What a daemon is started with."""

    config: Config
    genesis: Genesis
    keystore: Keystore
    pseudonym_key: bytes
    deny_list: DenyList
    metrics: Metrics
    health: Health
    log: Logger
    version: str
    notify_socket: str | None


def serve(arguments: Sequence[str]) -> int:
    """Run the daemon; the exit status says why it ended (see ops/docs/configuration.md)."""
    path = _parse(arguments)
    metrics = Metrics(CollectorRegistry())
    writer = LineWriter(sys.stderr.fileno(), on_drop=metrics.log_lines_dropped)
    try:
        return _serve(path, metrics, writer)
    except (ConfigError, CommandError) as error:
        return _last_line(writer, error, ExitStatus.REFUSED)
    except FatalError as error:
        return _last_line(writer, error, ExitStatus.FATAL)
    except (CaretreeError, OSError) as error:
        return _last_line(writer, error, ExitStatus.FAILED)
    except Exception as error:  # noqa: BLE001 (its text may quote a patient: Python must not show it)
        build_logger(writer.write, level=LogLevel.ERROR.value).exception("a fault of the daemon")
        return _last_line(writer, FaultError(error), ExitStatus.FAILED)


def _parse(arguments: Sequence[str]) -> Path:
    parser = argparse.ArgumentParser(
        prog="caretree serve",
        description="Runs this member's daemon from one configuration file.",
        epilog="Example: caretree serve --config town/caretree.toml",
    )
    parser.add_argument("--config", required=True, type=Path, help="the daemon's TOML file")
    chosen: Path = parser.parse_args(arguments).config
    return chosen


def _last_line(writer: LineWriter, error: Exception, status: ExitStatus) -> int:
    # Written as every other line: whoever reads the log may be gone, or may have stopped reading.
    writer.write(last_words(error, status).encode())
    writer.close(timeout_s=LAST_LINES_S)
    return status


def _serve(path: Path, metrics: Metrics, writer: LineWriter) -> int:
    _check_interpreter()
    _forbid_core_dumps()
    config = load_config(path)
    log = build_logger(writer.write, level=config.log.level.value)
    capture_standard_logging(log, level=config.log.level.value)
    _allow_descriptors(log)
    daemon = _prepare(path, config, metrics, log)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(daemon))
    except FatalError as error:
        error.add_note(f"data directory {config.peer.data_directory}")
        raise
    log.info("stopped")
    writer.close(timeout_s=LAST_LINES_S)
    return ExitStatus.STOPPED


def _check_interpreter() -> None:
    """Refuse what would make the daemon unsafe or slow without anybody noticing.

    Raises:
        CommandError: assertions are off, or protobuf runs in pure Python.
    """
    if sys.flags.optimize:
        raise CommandError(
            "assertions are switched off", next_step="Start Python without -O or PYTHONOPTIMIZE."
        )
    if api_implementation.Type() != "upb":
        raise CommandError(
            "protobuf runs on its slow backend",
            next_step="Unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, or install protobuf's wheel.",
        )


def _forbid_core_dumps() -> None:
    """Keep this process' memory, in which keys and records are, out of every file.

    Where the kernel hands a dump to a programme it does not ask for the limit: such a dump is made
    without memory. A kernel that lacks the filter writes none of these anyway.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0\n", encoding="ascii")


def _allow_descriptors(log: Logger) -> None:
    """Let this process have the descriptors that a storm of connections may take.

    A shell's usual bound is lower, and LevelDB without one for its next table stops the daemon.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < DESCRIPTORS:
        log.warning("few descriptors allowed", allowed=allowed, wanted=DESCRIPTORS)


def _prepare(path: Path, config: Config, metrics: Metrics, log: Logger) -> Daemon:
    genesis = read_genesis(path.absolute().parent)
    keystore = read_keystore(path, config, credentials=os.environ.get("CREDENTIALS_DIRECTORY"))
    own = check_belongs(config, keystore, genesis)
    in_force = check_certificate(
        config.tls,
        genesis,
        member=config.peer.member,
        peer=own,
        now=datetime.now(UTC),
    )
    if not in_force:
        log.error("certificate not in force", file=str(config.tls.peer_certificate))
    version = installed_version("caretree")
    metrics.describe_build(version=version, ledger_version=LEDGER_VERSION)
    return Daemon(
        config=config,
        genesis=genesis,
        keystore=keystore,
        pseudonym_key=pseudonym_key(keystore, genesis),
        deny_list=DenyList(config.tls.deny_list, metrics=metrics, log=log),
        metrics=metrics,
        health=Health(),
        log=log,
        version=version,
        notify_socket=os.environ.get("NOTIFY_SOCKET"),
    )


async def _run(daemon: Daemon) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    asked = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, asked.set)  # which would end the process otherwise
    peer = Peer(_settings(daemon), _open_disk(daemon))
    running = asyncio.ensure_future(peer.run())
    try:
        await _until(peer.ready, running)
        async with _doors(daemon, peer):
            _settle_memory()
            daemon.log.info("serving", version=daemon.version)
            notify(READY, notify_socket=daemon.notify_socket)
            upkeep = _upkeep(daemon, asked)
            try:
                await _until(stopping, running, *upkeep)
            finally:
                for task in upkeep:
                    task.cancel()
            notify(STOPPING, notify_socket=daemon.notify_socket)
            daemon.log.info("stopping")
            await peer.prepare_stop()
        if not running.done():  # a fault may have ended it meanwhile; it says so itself
            await peer.stop()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _settle_memory() -> None:
    """Have the garbage collector look at what comes and goes from now on, and that less often.

    What a start leaves behind stays. Looking through it again and again takes a twentieth of the
    processor time of a busy peer (measured); what is made for an entry forms few cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def _upkeep(daemon: Daemon, asked: asyncio.Event) -> "list[asyncio.Future[None]]":
    """What goes on beside the peer, for ever; `asked` has the deny list looked at now."""
    measuring = keep_measuring(
        daemon.metrics,
        directory=daemon.config.peer.data_directory,
        certificate=daemon.config.tls.peer_certificate,
    )
    looking = keep_looking(daemon.deny_list, asked=asked)
    return [asyncio.ensure_future(measuring), asyncio.ensure_future(looking)]


async def _until(event: asyncio.Event, *running: "asyncio.Future[None]") -> None:
    """Return at the event, or raise what ended the first of those that run."""

    async def wait() -> None:
        await event.wait()

    waiting = asyncio.ensure_future(wait())
    try:
        done, _ = await asyncio.wait({waiting, *running}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        waiting.cancel()


@asynccontextmanager
async def _doors(daemon: Daemon, peer: Peer) -> AsyncIterator[None]:
    """The client port and the HTTP port, open."""
    server = build_server(
        peer,
        daemon.config,
        metrics=daemon.metrics,
        health=daemon.health,
        deny_list=daemon.deny_list,
        version=daemon.version,
        log=daemon.log,
    )
    await server.start()
    try:
        if daemon.config.listen.http is None:
            yield
        else:
            async with _http(daemon, peer, daemon.config.listen.http):
                yield
    finally:
        await server.stop(DRAIN_S)


@asynccontextmanager
async def _http(daemon: Daemon, peer: Peer, address: str) -> AsyncIterator[None]:
    # aiohttp takes 13 MB, which a peer without an HTTP port is spared.
    from caretree.console.pages import Pages  # noqa: PLC0415
    from caretree.console.server import serve_console  # noqa: PLC0415

    pages = Pages(
        exposition=daemon.metrics.exposition,
        health=daemon.health,
        log=peer if daemon.config.http.tiles else None,
        on_fatal=peer.fail,
    )
    async with serve_console(pages, address=address):
        yield


def _open_disk(daemon: Daemon) -> Disk:
    directory = DataDirectory.open(daemon.config.peer.data_directory)
    # What can be refused is refused before LevelDB is opened, which writes already.
    check_addresses(daemon.config.listen)
    require_free_bytes(daemon.config.peer.data_directory, needed=START_BYTES)
    cipher = RowCipher(daemon.keystore.storage_key, random=SystemCustody())
    watermark = WatermarkFile.open(directory.watermark_path)
    if watermark.damaged_pages:
        daemon.log.error("watermark pages were damaged", pages=watermark.damaged_pages)
    store = LevelDbStore.open(directory.database_path, cipher=cipher)
    return Disk(store, watermark, directory=directory)


def _settings(daemon: Daemon) -> PeerSettings:
    config = daemon.config
    peer_keys = peer_keys_of(daemon.keystore)
    return PeerSettings(
        genesis=daemon.genesis,
        member=config.peer.member,
        own=peer_keys.peer_id(),
        keystore=daemon.keystore,
        peer_keys=peer_keys,
        pseudonym_key=daemon.pseudonym_key,
        custody=SystemCustody(),
        clock=SystemClock(),
        jitter=secrets.randbelow,
        timing=config.timing,
        listen_peer=config.listen.peer,
        tls=config.tls,
        deny_list=daemon.deny_list,
        addresses=config.peers,
        version=daemon.version,
        metrics=daemon.metrics,
        health=daemon.health,
        log=daemon.log,
    )
