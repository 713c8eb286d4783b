"""What is measured on stopped peers: how they start again, and proofs out of their ledger."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from caretree.cli.home import Home
from caretree.cli.session import read_settings
from caretree.client import CaretreeClient
from caretree.client.errors import CallFailedError
from caretree.crypto.custody import SystemRandom
from caretree.crypto.ed25519 import verify
from caretree.crypto.remembering import RememberingCheck
from caretree.ledger.certificate import certification
from caretree.ledger.chain import load_head
from caretree.ledger.genesis import Genesis
from caretree.ledger.receipts import ReceiptVerifier, verify_receipt
from caretree.ledger.tree import TreeReader, load_edge
from caretree.ledger.values import Head
from caretree.merkle.fresh import FreshTree
from caretree.merkle.frontier import grow
from caretree.model.ids import LeafIndex
from caretree.model.reasons import CallError
from caretree.node.certified_store import load_certified
from caretree.node.certifier import Certifier
from caretree.node.clock import SystemClock
from caretree.node.proofs import Proofs
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.row_cipher import RowCipher
from caretree.telemetry.logs import build_logger
from caretree.telemetry.metrics import Metrics
from prometheus_client import CollectorRegistry

from ops.bench import groups
from ops.bench.errors import BenchFailedError
from ops.bench.machine import resident_bytes
from ops.bench.supply import SEED
from ops.bench.values import Figure, Spread, percentile
from ops.demo.consortium import OPERATOR, TOWN, Centre, Founded
from ops.demo.daemons import Daemon, stop_all

START_S_MAX: Final = 120.0
_ASK_S: Final = 0.5
_LOOK_S: Final = 0.02
# The median of the slices counts, so that a moment in which others had the core does not.
SLICES: Final = 9
SLICE_S: Final = 0.15
VERIFICATIONS: Final = 500
FRESH_LEAVES: Final = 100


async def restarts(founded: Founded, daemons: dict[str, Daemon]) -> list[Figure]:
    """How long each peer takes until it answers again, and what it holds then, one by one.

    Raises:
        BenchFailedError: one does not come back, or did not stop as it should.
    """
    seconds: list[float] = []
    memory: list[float] = []
    size = 0
    for member, daemon in daemons.items():
        faults = await asyncio.to_thread(stop_all, [daemon])
        if faults:
            raise BenchFailedError(faults[0])
        begun = time.monotonic()
        daemon.start()
        size = await answering(founded.centres[member])
        seconds.append(time.monotonic() - begun)
        memory.append(resident_bytes(daemon.pid) / 1e6)
    return start_figures(("start.seconds", "start.memory"), size, seconds, memory)


def start_figures(
    names: tuple[str, str], size: int, seconds: Sequence[float], memory: Sequence[float]
) -> list[Figure]:
    """Start-up of peers with a tree of this size; the slowest and the largest count."""
    what = f"start-up of a peer with {size:,} leaves"
    return [
        Figure(
            name=names[0],
            what=f"{what}, until it answers",
            unit="s",
            value=Spread(median=max(seconds), low=min(seconds), high=max(seconds)),
        ),
        Figure(
            name=names[1],
            what=f"{what}: resident memory then",
            unit="MB",
            value=Spread(median=max(memory), low=min(memory), high=max(memory)),
        ),
    ]


async def answering(centre: Centre) -> int:
    """Its tree's size, as soon as a peer that was just started says it.

    Raises:
        BenchFailedError: it does not within START_S_MAX.
    """
    settings = read_settings(centre.client_file(OPERATOR))
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until:
        # A new connection each time: an old one would pause longer and longer.
        async with CaretreeClient.connect(settings) as client:
            try:
                return (await client.status(deadline_s=_ASK_S)).tree_size
            except CallFailedError:
                await asyncio.sleep(_LOOK_S)
    raise BenchFailedError(f"the peer of {centre.member} did not answer in {START_S_MAX:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A stopped peer's ledger, opened to be read."""

    store: LevelDbStore
    genesis: Genesis
    head: Head


@contextmanager
def opened(centre: Centre) -> Iterator[Ledger]:
    """The ledger of a member whose daemon is stopped, for as long as the context lasts.

    Raises:
        BenchFailedError: nothing is in it.
    """
    home = Home(path=centre.folder)
    cipher = RowCipher(home.read_keystore().storage_key, random=SystemRandom())
    with closing(LevelDbStore.open(centre.folder / "data" / "database", cipher=cipher)) as store:
        head = load_head(store)
        if head is None:
            raise BenchFailedError(f"the ledger of {centre.member} is empty")
        yield Ledger(store=store, genesis=home.read_genesis(), head=head)


def measure_stopped(founded: Founded, chosen: frozenset[str]) -> list[Figure]:
    """Proofs and receipts out of the township's ledger, on this one core."""
    with opened(founded.centres[TOWN]) as ledger:
        receipts = Receipts(ledger)
        found: list[Figure] = []
        if groups.PROOFS in chosen:
            found += proof_figures("proofs", ledger, receipts)
        if groups.VERIFY in chosen:
            found += _verifying(receipts)
        return found


class Receipts:
    """Receipts of random entries, made as a peer makes them."""

    def __init__(self, ledger: Ledger) -> None:
        rule = certification(ledger.genesis)
        newest = load_certified(ledger.store, rule, ledger.head)
        if newest is None:
            raise BenchFailedError("the ledger has no certified checkpoint")
        check, clock = RememberingCheck(), SystemClock()
        metrics = Metrics(CollectorRegistry())
        certifier = Certifier(
            rule,
            clock,
            own_root=lambda _: None,
            newest=newest,
            check=check,
            metrics=metrics,
            log=build_logger(lambda _: None, level="error"),
        )
        self.policy = rule.policy
        self.certified_size = newest.size
        self._proofs = Proofs(
            reads=ledger.store,
            genesis=ledger.genesis,
            policy=self.policy,
            certifier=certifier,
            clock=clock,
            check=check,
            metrics=metrics,
        )
        self._chance = random.Random(SEED)

    def leaf(self) -> LeafIndex:
        """Some leaf."""
        return LeafIndex(self._chance.randrange(self.certified_size))

    def receipt(self) -> bytes:
        """The receipt of some entry; seals have none."""
        while True:
            try:
                return self._proofs.receipt(self.leaf()).receipt
            except CallError:
                continue


def proof_figures(group: str, ledger: Ledger, receipts: Receipts) -> list[Figure]:
    """How many proofs and receipts one core makes in a second."""
    tree = TreeReader(ledger.store)
    size = ledger.head.tree_size
    growth = grow(load_edge(ledger.store, ledger.head).frontier, [bytes(32)] * FRESH_LEAVES)

    def old() -> None:
        tree.inclusion_proof(index=receipts.leaf(), size=receipts.certified_size)

    def fresh() -> None:
        newest = FreshTree(growths_max=1)
        newest.add(growth)
        for place in range(FRESH_LEAVES):
            newest.prove(index=LeafIndex(size + place), size=growth.after.size)

    of = f"a tree of {size:,} leaves, one core"
    return [
        _per_second(f"{group}.old", f"inclusion proofs of random old leaves of {of}", old),
        _per_second(
            f"{group}.fresh", f"inclusion proofs of fresh leaves of {of}", fresh, each=FRESH_LEAVES
        ),
        _per_second(
            f"{group}.receipts",
            f"whole receipts of random old entries of {of}, self-check and all",
            receipts.receipt,
        ),
    ]


def _per_second(name: str, what: str, make: Callable[[], object], *, each: int = 1) -> Figure:
    rates: list[float] = []
    for _ in range(SLICES):
        done, begun = 0, time.perf_counter()
        while (seconds := time.perf_counter() - begun) < SLICE_S:
            make()
            done += each
        rates.append(done / seconds)
    return Figure(name=name, what=what, unit="/s", value=Spread.of(rates))


def _verifying(receipts: Receipts) -> list[Figure]:
    files = [receipts.receipt() for _ in range(VERIFICATIONS)]
    remembering = ReceiptVerifier(receipts.policy, RememberingCheck())
    ways: tuple[tuple[str, str, Callable[[bytes], object]], ...] = (
        (
            "verify.anew",
            "verifying a receipt, every signature anew",
            lambda file: verify_receipt(file, receipts.policy, verify),
        ),
        (
            "verify.remembered",
            "the same with what receipts have in common remembered",
            remembering.verify,
        ),
    )
    found: list[Figure] = []
    for name, what, check in ways:
        took: list[float] = []
        for file in files:
            begun = time.perf_counter()
            check(file)
            took.append((time.perf_counter() - begun) * 1000)
        value = Spread.of([percentile(took, 50)])
        found.append(
            Figure(name=name, what=f"{what}: median of {len(took)}", unit="ms", value=value)
        )
    return found
