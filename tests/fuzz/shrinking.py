"""Making an input that breaks a contract as small as is easily done."""

from tests.fuzz.target import BrokenContractError, Target, judge

ATTEMPTS_MAX = 400


def shrink(target: Target, data: bytes, *, slack: float) -> bytes:
    """A shorter input that breaks the contract too: pieces are left out, ever smaller ones."""
    piece, attempts = max(1, len(data) // 2), 0
    while piece and attempts < ATTEMPTS_MAX:
        at = 0
        while at < len(data) and attempts < ATTEMPTS_MAX:
            shorter = data[:at] + data[at + piece :]
            attempts += 1
            if _breaks(target, shorter, slack=slack):
                data = shorter
            else:
                at += piece
        piece //= 2
    return data


def _breaks(target: Target, data: bytes, *, slack: float) -> bool:
    try:
        judge(target, data, slack=slack, measure_memory=True)
    except BrokenContractError:
        return True
    return False
