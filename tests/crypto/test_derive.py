import hmac

import pytest
from caretree.crypto.derive import (
    derive,
    document_id_for,
    record_id_from_request,
    request_digest,
    source_ids,
)
from caretree.crypto.framing import LABEL_DIGEST_KEY, LABEL_ID_KEY
from caretree.model.errors import MalformedError
from caretree.model.ids import MemberId, RecordId, RequestId
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from tests.crypto.builders import HOSPITAL, TOWNSHIP, secret

ID_KEY = derive(secret("member secret"), LABEL_ID_KEY)
DIGEST_KEY = derive(secret("member secret"), LABEL_DIGEST_KEY)
SYSTEM = "urn:example:his"


def ids(
    member: MemberId = TOWNSHIP, system: str = SYSTEM, source_id: str = "visit-1", part: int = 0
) -> tuple[RecordId, RequestId]:
    return source_ids(ID_KEY, member=member, system=system, source_id=source_id, part=part)


def test_a_derived_key_is_the_other_librarys_hkdf() -> None:
    theirs = HKDF(secret("member secret"), 32, b"", SHA256, context=b"caretree/v1/id-key")
    assert theirs == ID_KEY


def test_each_purpose_has_a_key_of_its_own() -> None:
    assert ID_KEY != DIGEST_KEY


def test_a_member_secret_has_32_bytes() -> None:
    with pytest.raises(MalformedError, match="member secret"):
        derive(bytes(16), LABEL_ID_KEY)


def test_source_ids_are_the_halves_of_the_mac_of_their_layout() -> None:
    layout = (
        b"\x00\x00\x00\x16caretree/v1/source-ids"
        b"\x00\x00\x00\x08township"
        b"\x00\x00\x00\x0furn:example:his"
        b"\x00\x00\x00\x07visit-1"
        b"\x00\x00\x00\x04\x00\x00\x00\x02"
    )
    digest = hmac.new(ID_KEY, layout, "sha256").digest()
    assert ids(part=2) == (digest[:16], digest[16:])


def test_known_answers_of_derived_values() -> None:
    record_id, request_id = ids()
    assert record_id.hex() == "650b6bd78eb1a926a9f0af7b763f6705"
    assert request_id.hex() == "4d14e88cd1820cfe2ccd38309b8641c0"
    document_id = document_id_for(ID_KEY, member=TOWNSHIP, system=SYSTEM, source_id="visit-1")
    assert document_id.hex() == "ead887819ed4971f9b0ab3bb6434011f"
    from_request = record_id_from_request(
        ID_KEY, member=TOWNSHIP, request_id=RequestId(secret("request")[:16])
    )
    assert from_request.hex() == "12a99f31b055e42d51192f360806f62e"
    digest = request_digest(DIGEST_KEY, b"content", b"")
    assert digest.hex() == "445d00da18b2dc9b44e1c563b5544ae43d9014e4a7d027b6b54e26ba18d3c0ca"


def test_the_same_source_gives_the_same_ids() -> None:
    assert ids() == ids()


def test_every_part_moves_the_ids() -> None:
    others = [
        ids(member=HOSPITAL),
        ids(system="urn:example:lis"),
        ids(source_id="visit-2"),
        ids(part=1),
        # The border between two parts is part of what is hashed.
        ids(system=SYSTEM + "v", source_id="isit-1"),
    ]
    assert len({ids(), *others}) == 6
    assert len({record for record, _ in (ids(), *others)}) == 6


def test_all_parts_of_a_document_share_its_id_and_nothing_else_does() -> None:
    one = document_id_for(ID_KEY, member=TOWNSHIP, system=SYSTEM, source_id="visit-1")
    two = document_id_for(ID_KEY, member=TOWNSHIP, system=SYSTEM, source_id="visit-2")
    assert len(one) == 16
    assert one != two
    assert bytes(one) not in {bytes(part) for part in ids()}


def test_a_repeated_request_names_the_same_record() -> None:
    request_id = RequestId(secret("request")[:16])
    one = record_id_from_request(ID_KEY, member=TOWNSHIP, request_id=request_id)
    assert one == record_id_from_request(ID_KEY, member=TOWNSHIP, request_id=request_id)
    assert one != record_id_from_request(ID_KEY, member=HOSPITAL, request_id=request_id)
    assert len(one) == 16


def test_a_request_digest_tells_other_content_apart() -> None:
    assert request_digest(DIGEST_KEY, b"ab", b"c") != request_digest(DIGEST_KEY, b"a", b"bc")
    assert request_digest(DIGEST_KEY, b"ab") != request_digest(ID_KEY, b"ab")
    assert request_digest(DIGEST_KEY, b"ab") == request_digest(DIGEST_KEY, b"ab")
