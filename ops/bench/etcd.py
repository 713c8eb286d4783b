"""The baseline: three members of etcd on this machine, in its default settings, without TLS."""

import asyncio
import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import grpc

from ops.bench import wire
from ops.bench.errors import BenchFailedError
from ops.bench.load import Work
from ops.bench.supply import Supply
from ops.demo.consortium import free_addresses

MEMBERS: Final = 3
TXN_PUTS: Final = 100
HOW_TO_INSTALL: Final = "etcd is not installed here: apt-get install -y etcd-server"
READY_S_MAX: Final = 30.0
STOP_S_MAX: Final = 10.0
CALL_S_MAX: Final = 30.0
STATUS_S_MAX: Final = 1.0
_LOOK_S: Final = 0.1


def binary() -> Path | None:
    """Where etcd is installed; None when it is not."""
    found = shutil.which("etcd")
    return None if found is None else Path(found)


def release(etcd: Path) -> str:
    """Which release it is."""
    told = subprocess.run([etcd, "--version"], capture_output=True, check=False, text=True).stdout
    found = re.search(r"etcd Version: (\S+)", told)
    return "etcd" if found is None else f"etcd {found[1]}"


class Members:
    """The processes of a cluster. Stop them whatever happens."""

    def __init__(self, etcd: Path, folder: Path) -> None:
        addresses = iter(free_addresses(2 * MEMBERS))
        pairs = [(next(addresses), next(addresses)) for _ in range(MEMBERS)]
        self.client_addresses = [client for client, _ in pairs]
        self._etcd, self._folder, self._peers = etcd, folder, [peer for _, peer in pairs]
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        """The processes that were started."""
        return [process.pid for process in self._processes]

    def start(self) -> None:
        """Start them, each with a data directory and a log of its own."""
        together = ",".join(f"m{n}=http://{peer}" for n, peer in enumerate(self._peers))
        # Variables of etcd's own would change its settings.
        environment = {key: value for key, value in os.environ.items() if key[:5] != "ETCD_"}
        for number, (client, peer) in enumerate(
            zip(self.client_addresses, self._peers, strict=True)
        ):
            folder = self._folder / f"etcd-{number}"
            folder.mkdir(mode=0o700)
            settings = {
                "name": f"m{number}",
                "data-dir": str(folder / "data"),
                "listen-client-urls": f"http://{client}",
                "advertise-client-urls": f"http://{client}",
                "listen-peer-urls": f"http://{peer}",
                "initial-advertise-peer-urls": f"http://{peer}",
                "initial-cluster": together,
            }
            with (folder / "log").open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        [self._etcd, *(f"--{key}={value}" for key, value in settings.items())],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=environment,
                        start_new_session=True,
                    )
                )

    def stop(self) -> None:
        """End them, by force when they take too long."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + STOP_S_MAX
        for process in self._processes:
            try:
                process.wait(timeout=max(until - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


@dataclass(slots=True, kw_only=True)
class EtcdCaller:
    """A connection to one member, and the puts that go over it."""

    channel: grpc.aio.Channel
    supply: Supply
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @classmethod
    @asynccontextmanager
    async def connected(cls, members: Members, supply: Supply) -> AsyncIterator[Self]:
        """A caller of a member that follows, as Caretree's is, once there is a leader.

        Raises:
            BenchFailedError: there is none within READY_S_MAX.
        """
        called = await _follower(members)
        async with grpc.aio.insecure_channel(called) as channel:
            yield cls(channel=channel, supply=supply)

    def puts(self) -> Work:
        """One put a call."""
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(wire.PUT)

        async def put(_: int) -> int:
            await call(self._put(), timeout=CALL_S_MAX)
            return 1

        return put

    def transactions(self) -> Work:
        """A transaction of TXN_PUTS puts a call."""
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(wire.TXN)

        async def transact(_: int) -> int:
            request = wire.txn_request([self._put() for _ in range(TXN_PUTS)])
            if not wire.txn_succeeded(await call(request, timeout=CALL_S_MAX)):
                raise BenchFailedError("etcd did not take a transaction")
            return TXN_PUTS

        return transact

    def _put(self) -> bytes:
        number = next(self._numbers)
        return wire.put_request(b"record/%012d" % number, self.supply.content(number))


async def _follower(members: Members) -> str:
    try:
        async with asyncio.timeout(READY_S_MAX):
            while True:
                told = await asyncio.gather(*map(_status, members.client_addresses))
                leaders = {leader for _, leader in told}
                if len(leaders) == 1 and leaders != {0}:
                    roles = zip(members.client_addresses, told, strict=True)
                    return next(address for address, (own, leader) in roles if own != leader)
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise BenchFailedError(f"etcd found no leader within {READY_S_MAX:g} s") from None


async def _status(address: str) -> tuple[int, int]:
    """The member's own id and its leader's; 0 while it is not there."""
    async with grpc.aio.insecure_channel(address) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        ask = channel.unary_unary(wire.MEMBER_STATUS)
        try:
            return wire.member_and_leader(await ask(b"", timeout=STATUS_S_MAX))
        except grpc.aio.AioRpcError:
            return 0, 0
