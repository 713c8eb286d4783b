"""Who leads, and who hears whom, as a test wants it."""

from collections.abc import Callable

from caretree.model.ids import MemberId, PeerId
from caretree.proto.peer.v1 import peer_pb2

from tests.node.cluster import Seat, Seats, leader_of, soon


async def lead(seats: Seats, member: MemberId) -> Seat:
    """The member's seat, leading."""
    leader = await leader_of(seats)
    if leader is not seats[member]:
        await leader.peer.transfer_leadership(seats[member].peer_id, deadline=soon())
        assert await leader_of(seats) is seats[member]
    return seats[member]


def cut_off(seats: Seats, *silent: Seat) -> None:
    """No message passes between these and the others, though every connection stands."""
    for seat in seats.values():
        if seat.alive:
            inside = any(seat is each for each in silent)
            far = {
                each.peer_id
                for each in seats.values()
                if any(each is other for other in silent) is not inside
            }
            seat.drop(_sent_by(far))


def _sent_by(peers: set[PeerId]) -> Callable[[PeerId, peer_pb2.PeerMessage], bool]:
    return lambda sender, _: sender in peers


def join(seats: Seats) -> None:
    """Every message passes again."""
    for seat in seats.values():
        if seat.alive:
            seat.drop(lambda *_: False)
