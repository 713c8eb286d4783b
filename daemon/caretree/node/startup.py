"""How a peer comes back: the one path, after a clean stop as after a power cut.

1. The log must hold all that the watermark says was shown, or the storage is lost. A crash between
   the two writes leaves a log beyond it: the watermark is raised before any of that is shown.
2. The chain of headers and the tree's frontier are checked in full.
3. What was signed was committed; rows up to there are applied again if a power cut took them, and
   must give the signed root.
4. Raft goes on from the applied index, and applies the rest when it learns what is committed.
"""

from dataclasses import dataclass

from caretree.crypto.ed25519 import verify
from caretree.ledger.chain import check_chain
from caretree.ledger.genesis import Genesis
from caretree.ledger.tree import TreeReader, load_edge
from caretree.merkle.lines import SignatureCheck
from caretree.model.errors import FatalError
from caretree.model.ids import LogIndex
from caretree.node.applier import Applier
from caretree.node.disk import Disk, watermark_of_log
from caretree.node.raft_log import StoredLog
from caretree.node.stage import BlockStage
from caretree.raft.messages import NO_PEER
from caretree.storage.errors import StorageLostError
from caretree.storage.watermark import Watermark, check_log_against, check_vote_against


class SignedRootError(FatalError):
    """The tree found at a start is not the one that this peer signed."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"the tree found has another root at size {size} than the one this peer signed: keep"
            " the data directory and compare with other members"
        )
        self.size = size


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a start found: the log, and the chain as applied."""

    log: StoredLog
    stage: BlockStage
    applier: Applier


def recover(disk: Disk, genesis: Genesis, *, check: SignatureCheck = verify) -> Recovered:
    """The log and the chain of a data directory, checked; `check` serves batches from then on.

    Raises:
        StorageLostError: less is there than was shown to others.
        SignedRootError: another tree than was signed.
        FatalError: the chain does not hold together.
    """
    log = StoredLog(disk.store, tuple(peer.peer for peer in genesis.voters))
    mark = disk.watermark.read()
    last_term, last_index, last_hash = log.last_row()
    check_log_against(mark, last_term=last_term, last_index=last_index, last_hash=last_hash)
    state = log.hard_state()
    vote = state.vote if state.vote != NO_PEER else None
    check_vote_against(mark, term=state.term, vote=vote)
    raised = watermark_of_log(mark, state, (last_term, last_index, last_hash))
    if raised != mark:
        disk.watermark.write(raised)
    head = check_chain(disk.store, genesis)
    stage = BlockStage()
    applier = Applier(
        store=disk.store,
        log=log,
        stage=stage,
        genesis=genesis,
        head=head,
        edge=load_edge(disk.store, head),
        check=check,
    )
    _apply_to_signed(applier, log, mark)
    if mark.signed_size > 0:
        root = TreeReader(disk.store).root(mark.signed_size)
        if root != mark.signed_root:
            raise SignedRootError(mark.signed_size)
    return Recovered(log=log, stage=stage, applier=applier)


def _apply_to_signed(applier: Applier, log: StoredLog, mark: Watermark) -> None:
    while applier.head.tree_size < mark.signed_size:
        index = LogIndex(log.applied() + 1)
        if index > log.last_index():
            raise StorageLostError(f"tree size {mark.signed_size} was signed, and is not found")
        applier.apply([log.entry(index)], None)
