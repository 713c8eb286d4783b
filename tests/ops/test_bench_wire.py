"""The messages that the bench makes by hand are those that protobuf would make."""

import pytest
from caretree.proto.api.v1 import records_pb2
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

from ops.bench import wire

VARINT, SIZED = 0, 2


def raw_fields(message: bytes) -> list[tuple[int, int, object]]:
    """Number, wire type and value of each field, as protobuf itself finds them."""
    found = Empty.FromString(message)
    fields = UnknownFieldSet(found)
    each = [fields[place] for place in range(len(fields))]
    return [(field.field_number, field.wire_type, field.data) for field in each]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**63, 2**64 - 1])
def test_a_number_is_encoded_as_protobuf_reads_it(number: int) -> None:
    assert raw_fields(wire.number_field(5, number)) == [(5, VARINT, number)]
    assert list(wire.fields(wire.number_field(5, number))) == [(5, number)]


def test_a_field_of_a_high_number_and_a_long_content_is_read_back() -> None:
    content = bytes(70_000)

    assert raw_fields(wire.sized_field(1000, content)) == [(1000, SIZED, content)]
    assert list(wire.fields(wire.sized_field(1000, content))) == [(1000, content)]


def append(content: bytes) -> bytes:
    return wire.append_request(
        patient=wire.patient_field(system="urn:example:card", value="C-1"),
        content=content,
        media_type=wire.sized_field(3, b"text/plain"),
        request_id=bytes(range(16)),
        acting=wire.acting_field(person="dr-zhou", role=records_pb2.PERSON_ROLE_PHYSICIAN),
    )


def message(content: bytes) -> records_pb2.AppendRequest:
    return records_pb2.AppendRequest(
        patient=records_pb2.PatientIdentifier(system="urn:example:card", value="C-1"),
        content=content,
        media_type="text/plain",
        request_id=bytes(range(16)),
        acting_person=records_pb2.ActingPerson(
            id="dr-zhou", role=records_pb2.PERSON_ROLE_PHYSICIAN
        ),
    )


@pytest.mark.parametrize("size", [1, 127, 128, 1024, 262_144])
def test_an_append_is_byte_for_byte_what_the_generated_code_makes(size: int) -> None:
    content = bytes(size)

    assert append(content) == message(content).SerializeToString(deterministic=True)


def test_a_person_who_acts_for_herself_leaves_the_acting_person_out() -> None:
    made = wire.append_request(
        patient=b"", content=b"x", media_type=b"", request_id=bytes(16), acting=b""
    )

    assert not records_pb2.AppendRequest.FromString(made).HasField("acting_person")


@pytest.mark.parametrize("receipts", [True, False])
def test_a_batch_is_byte_for_byte_what_the_generated_code_makes(*, receipts: bool) -> None:
    contents = [bytes([number]) * 1024 for number in range(100)]
    expected = records_pb2.AppendStreamRequest(
        batch_number=300,
        records=[message(content) for content in contents],
        without_receipts=not receipts,
    )

    records = [append(content) for content in contents]
    made = wire.append_stream_request(300, records, receipts=receipts)

    assert made == expected.SerializeToString(deterministic=True)


def test_a_put_has_key_and_value_under_the_numbers_that_etcd_documents() -> None:
    assert raw_fields(wire.put_request(b"key", b"value")) == [
        (1, SIZED, b"key"),
        (2, SIZED, b"value"),
    ]


def test_a_transaction_has_its_puts_among_the_operations_of_success() -> None:
    puts = [wire.put_request(b"%d" % number, bytes(1024)) for number in range(100)]

    operations = raw_fields(wire.txn_request(puts))

    assert [(number, kind) for number, kind, _ in operations] == [(2, SIZED)] * 100
    inner = [raw_fields(data) for _, _, data in operations if isinstance(data, bytes)]
    assert inner == [[(2, SIZED, put)] for put in puts]  # RequestOp.request_put


@pytest.mark.parametrize(("succeeded", "said"), [(1, True), (0, False)])
def test_a_transaction_counts_when_its_answer_says_so(succeeded: int, said: bool) -> None:
    header = wire.sized_field(1, wire.number_field(3, 12_345))

    assert wire.txn_succeeded(header + wire.number_field(2, succeeded)) is said


def test_an_answer_that_says_nothing_is_no_success() -> None:
    assert not wire.txn_succeeded(wire.sized_field(1, wire.number_field(3, 12_345)))


def test_a_member_says_who_it_is_and_who_leads() -> None:
    header = wire.sized_field(1, wire.number_field(1, 9) + wire.number_field(2, 77))
    answer = header + wire.sized_field(2, b"3.4.23") + wire.number_field(4, 88)

    assert wire.member_and_leader(answer) == (77, 88)
    assert wire.member_and_leader(header) == (77, 0)
    assert wire.member_and_leader(b"") == (0, 0)


@pytest.mark.parametrize(
    "broken",
    [b"\x80", b"\x0a\x05abc", b"\x0d\x00\x00\x00\x00", b"\xff" * 11],
    ids=["no end", "cut short", "fixed32", "too long a number"],
)
def test_what_is_no_message_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="expected a number"):
        list(wire.fields(broken))
