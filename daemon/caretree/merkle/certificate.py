"""Gathering the signature lines of one checkpoint from many signers, each verified first.

A note with one bad line of a known key is refused whole by every verifier, so one liar could spoil
what it is merged into: lines are verified before the merge, one by one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from caretree.merkle.checkpoint import Checkpoint, format_checkpoint
from caretree.merkle.keys import VerifierKey
from caretree.merkle.lines import SignatureCheck, SignatureLine
from caretree.merkle.note import BadSignatureError, Note, VerifiedLine, verify_line
from caretree.merkle.policy import Policy, VerifiedCheckpoint, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A checkpoint and the verified lines over it: one a key, in the order of the keys."""

    checkpoint: Checkpoint
    lines: tuple[VerifiedLine, ...]

    def note(self) -> Note:
        """The checkpoint with its lines, of which there is at least one, as it is served."""
        return Note(
            text=format_checkpoint(self.checkpoint),
            lines=tuple(verified.line for verified in self.lines),
        )

    def certify(self, policy: Policy) -> VerifiedCheckpoint:
        """The checkpoint as the policy sees it; no signature is checked again.

        Raises:
            UnknownLogError: no log key of the policy signed it yet.
            QuorumError: the witnesses do not meet the quorum yet.
        """
        return judge(self.checkpoint, self.lines, policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The certificate after a merge, and the lines that it left out."""

    certificate: Certificate
    unknown: tuple[SignatureLine, ...]
    bad: tuple[SignatureLine, ...]


def merge_lines(
    certificate: Certificate,
    lines: Iterable[SignatureLine],
    *,
    keys: Sequence[VerifierKey],
    check: SignatureCheck,
) -> Merged:
    """The certificate with these lines added as far as they hold, ordered as `keys` are.

    Of several lines of one key the latest cosignature stays; what is already in is not verified
    again. Lines of keys that are not among `keys` do not stay.
    """
    known = {(key.name, key.key_id): key for key in keys}
    kept = {verified.key: verified for verified in certificate.lines}
    text = format_checkpoint(certificate.checkpoint)
    unknown: list[SignatureLine] = []
    bad: list[SignatureLine] = []
    for line in lines:
        key = known.get((line.name, line.key_id))
        if key is None:
            unknown.append(line)
            continue
        if key in kept and kept[key].line == line:
            continue
        try:
            verified = verify_line(line, text=text, key=key, check=check)
        except BadSignatureError:
            bad.append(line)
            continue
        kept[key] = _later(verified, kept.get(key))
    ordered = tuple(kept[key] for key in keys if key in kept)
    merged = Certificate(checkpoint=certificate.checkpoint, lines=ordered)
    return Merged(certificate=merged, unknown=tuple(unknown), bad=tuple(bad))


def _later(line: VerifiedLine, other: VerifiedLine | None) -> VerifiedLine:
    """The line with the later time; the one already there when neither is later."""
    if other is None:
        return line
    return line if (line.time_s or 0) > (other.time_s or 0) else other
