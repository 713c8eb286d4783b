"""Whose signatures make a checkpoint trusted: logs and witnesses (c2sp.org/tlog-policy)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from caretree.merkle.checkpoint import Checkpoint, parse_checkpoint
from caretree.merkle.keys import SignatureType, VerifierKey
from caretree.merkle.lines import SignatureCheck
from caretree.merkle.note import Note, VerifiedLine, open_note
from caretree.model.errors import MalformedError, VerificationError

NO_QUORUM = "none"  # the format's predefined name for asking no witness
# A consortium has at most 64 signers; the format asks for at least 32 of each.
POLICY_LOGS_MAX = POLICY_WITNESSES_MAX = POLICY_GROUPS_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A key whose 0x01 signature makes a checkpoint the log's own; its name is the origin."""

    key: VerifierKey
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A cosigner, by a name that the policy alone uses."""

    name: str
    key: VerifierKey
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """At least `threshold` of the members, each a witness or an earlier group."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole rule; groups stand in the order of their definition.

    Raises:
        MalformedError: a name that is undefined, defined twice or used twice, one key listed twice,
            a key of the wrong type, a threshold out of reach, or too many parts.
    """

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str

    def __post_init__(self) -> None:
        _check_counts(self)
        _check_keys([log.key for log in self.logs], SignatureType.NOTE)
        _check_keys([witness.key for witness in self.witnesses], SignatureType.COSIGNATURE)
        _check_urls(self)
        _check_names(self)

    def verifiers(self, origin: str) -> tuple[VerifierKey, ...]:
        """The keys whose lines count under this origin: its log keys, then all witnesses."""
        logs = tuple(log.key for log in self.logs if log.key.name == origin)
        return (*logs, *(witness.key for witness in self.witnesses))

    def quorum_met(self, cosigned: Iterable[str]) -> bool:
        """Whether these witnesses, by name, are enough."""
        holding = {NO_QUORUM, *cosigned}
        for group in self.groups:
            if len(holding.intersection(group.members)) >= group.threshold:
                holding.add(group.name)
        return self.quorum in holding


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedAt:
    """A witness of the policy and the latest time at which it cosigned."""

    name: str
    time_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedCheckpoint:
    """A checkpoint that the policy accepts, with the log keys and witnesses that signed it."""

    checkpoint: Checkpoint
    log_keys: tuple[VerifierKey, ...]
    witnesses: tuple[WitnessedAt, ...]


class UnknownLogError(VerificationError):
    """No listed log key signed the checkpoint."""

    def __init__(self, origin: str) -> None:
        super().__init__(f"no log key of the policy signed this checkpoint of {origin}")
        self.origin = origin


class QuorumError(VerificationError):
    """Too few witnesses cosigned the checkpoint."""

    def __init__(self, *, quorum: str, cosigned: Sequence[str]) -> None:
        super().__init__(
            f"the quorum {quorum} is not met: {len(cosigned)} known witnesses cosigned"
        )
        self.quorum = quorum
        self.cosigned = tuple(cosigned)


def verify_checkpoint(note: Note, policy: Policy, check: SignatureCheck) -> VerifiedCheckpoint:
    """The checkpoint of a note, verified.

    All of this holds once it returns:

    1. the text is a checkpoint;
    2. every line of a key that the policy lists for its origin is a good signature;
    3. one of them is a 0x01 line of a log key;
    4. the witnesses of the 0x04 lines, each counted once, meet the quorum.

    Raises:
        MalformedError: step 1.
        BadSignatureError: step 2.
        UnsignedNoteError: no line is of a listed key.
        UnknownLogError: step 3.
        QuorumError: step 4.
    """
    checkpoint = parse_checkpoint(note.text)  # 1
    opened = open_note(note, policy.verifiers(checkpoint.origin), check)  # 2
    return judge(checkpoint, opened.verified, policy)  # 3, 4


def judge(
    checkpoint: Checkpoint, verified: Iterable[VerifiedLine], policy: Policy
) -> VerifiedCheckpoint:
    """Steps 3 and 4 of `verify_checkpoint`, for lines already verified over this checkpoint.

    Raises:
        UnknownLogError: no log key of this origin signed.
        QuorumError: the witnesses do not meet the quorum.
    """
    lines = tuple(verified)
    signed = {line.key for line in lines}
    log_keys = tuple(
        log.key for log in policy.logs if log.key in signed and log.key.name == checkpoint.origin
    )
    if not log_keys:
        raise UnknownLogError(checkpoint.origin)
    witnesses = _witnessed(lines, policy)
    cosigned = [witness.name for witness in witnesses]
    if not policy.quorum_met(cosigned):
        raise QuorumError(quorum=policy.quorum, cosigned=cosigned)
    return VerifiedCheckpoint(checkpoint=checkpoint, log_keys=log_keys, witnesses=witnesses)


def _witnessed(lines: Iterable[VerifiedLine], policy: Policy) -> tuple[WitnessedAt, ...]:
    """The policy's witnesses among the signers, in its order, each with its latest time."""
    latest: dict[VerifierKey, int] = {}
    for line in lines:
        if line.time_s is not None:
            latest[line.key] = max(line.time_s, latest.get(line.key, 0))
    return tuple(
        WitnessedAt(name=witness.name, time_s=latest[witness.key])
        for witness in policy.witnesses
        if witness.key in latest
    )


def _check_counts(policy: Policy) -> None:
    for field, found, most in (
        ("logs", len(policy.logs), POLICY_LOGS_MAX),
        ("witnesses", len(policy.witnesses), POLICY_WITNESSES_MAX),
        ("groups", len(policy.groups), POLICY_GROUPS_MAX),
    ):
        if found > most:
            raise MalformedError(f"policy {field}", f"expected at most {most}, found {found}")


def _check_keys(keys: Sequence[VerifierKey], wanted: SignatureType) -> None:
    for key in keys:
        if key.signature_type is not wanted:
            raise MalformedError(
                "policy", f"expected the key of {key.name} to be of type 0x{wanted.value:02x}"
            )
    # One key under two names would count twice towards a quorum.
    if len({key.public_key for key in keys}) != len(keys):
        raise MalformedError("policy", "expected each public key once")


def _check_urls(policy: Policy) -> None:
    logs = [log.url for log in policy.logs]
    for url in (*logs, *(witness.url for witness in policy.witnesses)):
        if url is not None:
            _check_word(url)


def _check_word(word: str) -> None:
    """Refuse what would fall apart in the policy's text."""
    if not word or any(sign <= " " or sign == "\x7f" for sign in word):
        raise MalformedError("policy", "expected names and URLs without spaces and controls")


def _check_names(policy: Policy) -> None:
    defined = {NO_QUORUM}
    for witness in policy.witnesses:
        _define(witness.name, defined)
    used: set[str] = set()
    for group in policy.groups:
        _check_group(group, defined=defined, used=used)
        _define(group.name, defined)
    if policy.quorum not in defined:
        raise MalformedError("policy", "expected the quorum to be a witness, a group or none")


def _check_group(group: Group, *, defined: set[str], used: set[str]) -> None:
    """Refuse an undefined or already used member, and a threshold of 0 or out of reach."""
    for member in group.members:
        # A name in two groups, or twice in one, would let its witness count twice.
        if member == NO_QUORUM or member not in defined or member in used:
            raise MalformedError(
                "policy", "expected each group member to be defined before, and to be in one group"
            )
        used.add(member)
    if not 1 <= group.threshold <= len(group.members):
        raise MalformedError(
            "policy", f"expected a threshold of 1 to {len(group.members)}, found {group.threshold}"
        )


def _define(name: str, defined: set[str]) -> None:
    _check_word(name)
    if name in defined:
        raise MalformedError("policy", "expected each name to be defined once, none being taken")
    defined.add(name)
