"""Which messages are well formed: what the rules rely on without asking again."""

from caretree.model.ids import PeerId
from caretree.raft.confchange import restore
from caretree.raft.errors import ConfStateError, MalformedMessageError
from caretree.raft.messages import NO_INDEX, NO_PEER, NO_TERM, Message, MessageType


def check_message(message: Message, *, peer: PeerId) -> None:
    """Returns for a message that a correct peer could have sent to `peer`.

    Raises:
        MalformedMessageError: otherwise.
    """
    if message.to != peer or message.sender in {NO_PEER, peer}:
        raise MalformedMessageError(
            f"sender {message.sender}, receiver {message.to}: expected another peer, and {peer}"
        )
    # A peer that has not heard of any term yet refuses a vote in term 0, and sends nothing else.
    if message.term == NO_TERM and message.type is not MessageType.PRE_VOTE_RESP:
        raise MalformedMessageError("term: expected above 0")
    if message.type is MessageType.APP:
        _check_append(message)
    elif message.type is MessageType.SNAP:
        _check_snapshot(message)


def _check_append(message: Message) -> None:
    index, term = message.index, message.log_term
    for entry in message.entries:
        # The leader's log has no gaps, and its terms never fall (Raft 5.3).
        if entry.index != index + 1 or entry.term < term:
            raise MalformedMessageError(
                f"entry {entry.term}/{entry.index} after {term}/{index}: expected the next one"
            )
        index, term = entry.index, entry.term
    if term > message.term:
        raise MalformedMessageError(f"entry of term {term} in a message of term {message.term}")


def _check_snapshot(message: Message) -> None:
    snapshot = message.snapshot
    if snapshot is None or snapshot.index == NO_INDEX or snapshot.term > message.term:
        raise MalformedMessageError("snapshot: expected one, of an index above 0 and a past term")
    try:
        restore(snapshot.conf_state)
    except ConfStateError as error:
        raise MalformedMessageError(f"snapshot: {error}") from error
