"""How parts are joined before they are hashed, signed or sealed, and the labels that begin them.

Parts are joined with their lengths, so that two different lists of parts never give the same bytes.
The first part of nearly everything is a label from the table below: bytes made for one purpose
never pass for another's (INV-23). These labels are in stored, hashed and signed bytes for ever; a
changed meaning takes a new label.
"""

from typing import Final

U32_MAX: Final = 0xFFFFFFFF
U64_MAX: Final = 0xFFFFFFFFFFFFFFFF


def label(purpose: str) -> bytes:
    """The label of a purpose: "caretree/v1/" and its name, in ASCII."""
    return f"caretree/v1/{purpose}".encode("ascii")


# Hashed
LABEL_LEAF: Final = label("leaf")  # commitments.leaf_commitment
LABEL_CONTENT: Final = label("content")  # commitments.content_key
LABEL_KEY_ID: Final = label("key-id")  # keyring.key_id
LABEL_PEER_ID: Final = label("peer-id")  # peer_identity.derive_peer_id
LABEL_BLOCK: Final = label("block")  # the block hash, computed in ledger
LABEL_GENESIS: Final = label("genesis")  # the genesis hash, computed in ledger
LABEL_INVITATION: Final = label("invitation")  # the invitation hash, computed in ledger

# Signed
LABEL_BATCH: Final = label("batch")  # the author peer over the leaves of a batch
LABEL_JOIN: Final = label("join")  # an invited member's key over its join request
LABEL_FOUNDER: Final = label("founder")  # each founder's member key over the genesis hash

# Authenticated beside a ciphertext, or bound into an HPKE key schedule
LABEL_RECORD: Final = label("record")  # sealing: content, and with a key id the record key
LABEL_KEYRING_CHAIN: Final = label("keyring-chain")  # keyring.chain_previous
LABEL_KEYRING_SEAL: Final = label("keyring-seal")  # keyring.keyring_seal_info
LABEL_PSEUDONYM_SEAL: Final = label("pseudonym-key-seal")  # pseudonym.pseudonym_key_seal_info
LABEL_KEYSTORE: Final = label("keystore")  # keystore
LABEL_KIT: Final = label("recovery-kit")  # kit
LABEL_CODE_CHECK: Final = label("recovery-code-check")  # recovery_code

# Derived from a member's secret, or under a key so derived
LABEL_ID_KEY: Final = label("id-key")  # derive.derive, for the ids below
LABEL_DIGEST_KEY: Final = label("digest-key")  # derive.derive, for request digests
LABEL_SOURCE_IDS: Final = label("source-ids")  # derive.source_ids
LABEL_DOCUMENT_ID: Final = label("document-id")  # derive.document_id_for
LABEL_RECORD_ID: Final = label("record-id")  # derive.record_id_from_request
LABEL_REQUEST_DIGEST: Final = label("request-digest")  # derive.request_digest


def length_prefixed(*parts: bytes) -> bytes:
    """The parts joined, each behind its length: for every part u32 big-endian length || bytes."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


def u32(number: int) -> bytes:
    """A number as 4 big-endian bytes."""
    return number.to_bytes(4, "big")


def u64(number: int) -> bytes:
    """A number as 8 big-endian bytes."""
    return number.to_bytes(8, "big")
