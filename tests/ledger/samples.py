"""One body of each kind, drafts of them, and a small history with receipts, all of fixed bytes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from caretree.crypto.commitments import ZERO_SALT, leaf_commitment
from caretree.crypto.custody import SEALED_KEY_BYTES
from caretree.crypto.keyring import CHAINED_KEY_BYTES
from caretree.ledger.batches import build_batch
from caretree.ledger.blocks import build_block, genesis_block
from caretree.ledger.bodies import encode_body
from caretree.ledger.certificate import (
    add_lines,
    certification,
    format_certified_note,
    sign_lines,
    start_certificate,
)
from caretree.ledger.leaves import NO_MAP_ROOT, SEAL_LEAF_BYTES, encode_entry_leaf, encode_seal_leaf
from caretree.ledger.receipts import SealProof, build_receipt
from caretree.ledger.values import (
    Actor,
    Attempt,
    Batch,
    Block,
    Body,
    Denial,
    Grant,
    Happening,
    Keyring,
    Opening,
    Page,
    Patient,
    Purpose,
    Reading,
    Record,
    ReplaceReason,
    Replaces,
    Revoke,
    Role,
    Rule,
    Seal,
    SealedKey,
)
from caretree.merkle.certificate import Certificate
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.frontier import EMPTY_FRONTIER, grow
from caretree.merkle.hashing import leaf_hash
from caretree.merkle.lines import SignatureLine
from caretree.merkle.proof import prove_inclusion
from caretree.model.ids import (
    Digest,
    GrantId,
    Height,
    KeyId,
    LeafIndex,
    MemberId,
    Origin,
    Pseudonym,
    RecordId,
    RequestId,
    TimeMs,
    TreeSize,
)

from tests.ledger.builders import (
    FOUNDED_MS,
    HOSPITAL,
    OFFICE,
    TOWN,
    Consortium,
    FixedRandom,
    founders,
)

SIGNED_S: Final = FOUNDED_MS // 1000 + 60
PATIENT: Final = Patient(pseudonym_epoch=1, pseudonym=Pseudonym(b"p" * 32))
OTHER_PATIENT: Final = Patient(pseudonym_epoch=1, pseudonym=Pseudonym(b"q" * 32))
ACTOR: Final = Actor(principal="clinic-system", person="D-1047", role=Role.PHYSICIAN)

RECORD: Final = Record(
    record_id=RecordId(b"r" * 16),
    patient=PATIENT,
    custodian=TOWN,
    keyring_epoch=1,
    key_id=KeyId(b"k" * 32),
    ciphertext_sha256=Digest(b"c" * 32),
    content_commitment=b"m" * 32,
    media_type="application/fhir+json",
    document_id=b"d" * 16,
    part=0,
    replaces=None,
)
REPLACING_RECORD: Final = replace(
    RECORD,
    record_id=RecordId(b"s" * 16),
    part=2,
    replaces=Replaces(record_id=RecordId(b"r" * 16), reason=ReplaceReason.CORRECTED),
)
FIRST_KEYRING: Final = Keyring(
    patient=PATIENT,
    custodian=TOWN,
    epoch=1,
    key_id=KeyId(b"k" * 32),
    previous_key_id=None,
    previous_key=b"",
    sealed_keys=(SealedKey(member=TOWN, sealed=b"t" * SEALED_KEY_BYTES),),
)
NEXT_KEYRING: Final = Keyring(
    patient=PATIENT,
    custodian=TOWN,
    epoch=2,
    key_id=KeyId(b"l" * 32),
    previous_key_id=KeyId(b"k" * 32),
    previous_key=b"v" * CHAINED_KEY_BYTES,
    sealed_keys=(
        SealedKey(member=TOWN, sealed=b"t" * SEALED_KEY_BYTES),
        SealedKey(member=HOSPITAL, sealed=b"h" * SEALED_KEY_BYTES),
    ),
)
GRANT: Final = Grant(
    grant_id=GrantId(b"g" * 16),
    patient=PATIENT,
    custodian=TOWN,
    grantee=HOSPITAL,
    keyring_epoch=1,
    key_id=KeyId(b"k" * 32),
    sealed_key=b"h" * SEALED_KEY_BYTES,
    rule=Rule(
        roles=frozenset({Role.PHYSICIAN, Role.NURSE}),
        principals=frozenset({"ward-3", "cardiology"}),
        purpose=Purpose.TREATMENT,
        until_ms=TimeMs(FOUNDED_MS + 86_400_000),
    ),
)
REVOKE: Final = Revoke(grant_id=GrantId(b"g" * 16), patient=PATIENT, custodian=TOWN)
PAGE_READING: Final = Reading(
    patient=PATIENT,
    purpose=Purpose.TREATMENT,
    scope=Page(before=2**64 - 1, size=100),
    record_ids=(RecordId(b"s" * 16), RecordId(b"r" * 16)),
)
RECORD_READING: Final = Reading(
    patient=PATIENT,
    purpose=Purpose.PATIENT_REQUEST,
    scope=RecordId(b"r" * 16),
    record_ids=(RecordId(b"r" * 16),),
)
DENIAL: Final = Denial(
    minute_ms=TimeMs(FOUNDED_MS),
    attempts=(
        Attempt(patient=PATIENT, count=3),
        Attempt(patient=OTHER_PATIENT, count=1),
    ),
    more=7,
)
HAPPENINGS: Final[dict[str, Happening]] = {
    "record": RECORD,
    "replacing record": REPLACING_RECORD,
    "first keyring": FIRST_KEYRING,
    "next keyring": NEXT_KEYRING,
    "grant": GRANT,
    "revoke": REVOKE,
    "page reading": PAGE_READING,
    "record reading": RECORD_READING,
    "denial": DENIAL,
}


def body_of(happening: Happening) -> Body:
    """A body with fixed request id, digest and actor."""
    return Body(
        request_id=RequestId(b"q" * 16),
        request_digest=Digest(b"e" * 32),
        actor=ACTOR,
        happening=happening,
    )


def draft(
    consortium: Consortium,
    member: MemberId,
    body: bytes,
    *,
    random: FixedRandom,
    payload: bytes | None = None,
) -> tuple[bytes, Opening]:
    """A leaf of a member's peer and its opening."""
    salt = random.random_bytes(32)
    commitment = leaf_commitment(
        origin=consortium.origin, author_peer=consortium[member].peer.peer, salt=salt, body=body
    )
    return encode_entry_leaf(commitment), Opening(salt=salt, body=body, payload=payload)


def batch_of(
    consortium: Consortium, member: MemberId, drafts: Sequence[tuple[bytes, Opening]]
) -> Batch:
    """A batch signed by a member's peer."""
    keys = consortium[member].peer
    return build_batch(
        origin=consortium.origin, author=keys.peer, drafts=drafts, sign=keys.batch.sign
    )


def block_of(
    consortium: Consortium, batches: Sequence[Batch], *, parent: Block | None = None
) -> Block:
    """The block after `parent`, by default block 1, led by the hospital's peer."""
    before = parent or genesis_block(consortium.genesis)
    return build_block(
        height=Height(before.header.height + 1),
        parent=before.hash,
        time_ms=TimeMs(before.header.time_ms + 1000),
        membership_epoch=1,
        ledger_version=1,
        leader=consortium[HOSPITAL].peer.peer,
        batches=batches,
    )


def seal_of(block: Block) -> bytes:
    """The seal leaf of a block."""
    return encode_seal_leaf(
        Seal(
            height=block.header.height,
            time_ms=block.header.time_ms,
            membership_epoch=block.header.membership_epoch,
            ledger_version=block.header.ledger_version,
            block_hash=block.hash,
            map_root=NO_MAP_ROOT,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Blocks as a tree: every leaf, and where each body and salt belongs."""

    consortium: Consortium
    leaves: tuple[bytes, ...]
    openings: dict[int, Opening]

    def checkpoint(self) -> Checkpoint:
        """The tree's checkpoint."""
        growth = grow(EMPTY_FRONTIER, self._hashes())
        size = TreeSize(len(self.leaves))
        origin = Origin(self.consortium.origin)
        return Checkpoint(origin=origin, size=size, root=growth.after.root())

    def prove(self, index: int) -> tuple[Digest, ...]:
        """The inclusion proof of a leaf."""
        growth = grow(EMPTY_FRONTIER, self._hashes())
        return prove_inclusion(
            index=LeafIndex(index), size=TreeSize(len(self.leaves)), fetch=growth.node
        )

    def prove_seal(self, index: int) -> SealProof:
        """The proof of the seal at this leaf index."""
        return SealProof(leaf=self.leaves[index], index=LeafIndex(index), proof=self.prove(index))

    def certificate(self, *members: MemberId, time_s: int = SIGNED_S) -> Certificate:
        """A certificate with both lines of these members' peers."""
        checkpoint = self.checkpoint()
        lines: list[SignatureLine] = []
        for member in members:
            founder = self.consortium[member]
            lines += sign_lines(
                checkpoint,
                peer=founder.as_peer(),
                sign_log=founder.peer.log.sign,
                sign_cosigner=founder.peer.cosigner.sign,
                time_s=time_s,
            )
        rule = certification(self.consortium.genesis)
        return add_lines(start_certificate(checkpoint), lines, rule).certificate

    def note(self) -> bytes:
        """The certified checkpoint with the fewest lines."""
        rule = certification(self.consortium.genesis)
        return format_certified_note(self.certificate(TOWN, HOSPITAL, OFFICE), rule)

    def receipt(self, index: int, *, erased: bool = False) -> bytes:
        """The receipt of an entry, with its body or after its erasure."""
        seals = [place for place, leaf in enumerate(self.leaves) if len(leaf) == SEAL_LEAF_BYTES]
        following = min(place for place in seals if place > index)
        previous = max((place for place in seals if place < index), default=None)
        opening = self.openings[index]
        author = None if index == 0 else self.consortium[TOWN].peer.peer
        return build_receipt(
            leaf=self.leaves[index],
            leaf_index=LeafIndex(index),
            proof=self.prove(index),
            author=author,
            salt=opening.salt,
            body=None if erased else opening.body,
            seal=self.prove_seal(following),
            previous_seal=None if previous is None else self.prove_seal(previous),
            note=self.note(),
        )

    def _hashes(self) -> list[Digest]:
        return [leaf_hash(leaf) for leaf in self.leaves]


def history(*, later_blocks: int = 0) -> History:
    """Block 0, and a block 1 with one entry of each kind by the town's peer: leaves 2 to 10.

    Each later block adds a record and its seal: leaves 12 and 13, 14 and 15, and so on.
    """
    consortium = founders()
    random = FixedRandom(1)
    block = genesis_block(consortium.genesis)
    leaves = [*block.batches[0].leaves, seal_of(block)]
    openings = {0: Opening(salt=ZERO_SALT, body=consortium.genesis.encoded, payload=None)}
    for happenings in (HAPPENINGS.values(), *([RECORD],) * later_blocks):
        bodies = [encode_body(body_of(happening)) for happening in happenings]
        drafts = [draft(consortium, TOWN, body, random=random) for body in bodies]
        block = block_of(consortium, [batch_of(consortium, TOWN, drafts)], parent=block)
        openings |= {index: opening for index, (_, opening) in enumerate(drafts, len(leaves))}
        leaves += [*(leaf for leaf, _ in drafts), seal_of(block)]
    return History(consortium=consortium, leaves=tuple(leaves), openings=openings)


def short_hash(content: bytes) -> str:
    """The first half of SHA-256, in hex, for known answers."""
    return hashlib.sha256(content).hexdigest()[:32]
