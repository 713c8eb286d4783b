"""The policy's text is read as c2sp.org/tlog-policy says, and nothing else is."""

import pytest
from caretree.merkle.keys import SignatureType, format_vkey
from caretree.merkle.policy import Group, Log, Policy, Witness
from caretree.merkle.policy_text import POLICY_BYTES_MAX, format_policy, parse_policy
from caretree.model.errors import MalformedError

from tests.merkle.builders import cosigner, log_signer

LOG = format_vkey(log_signer().verifier(SignatureType.NOTE))
OTHER_LOG = format_vkey(log_signer(1).verifier(SignatureType.NOTE))
A, B, C = (format_vkey(cosigner(n).verifier(SignatureType.COSIGNATURE)) for n in range(3))

WHOLE = f"""\
# Whom we trust
log {LOG} https://log.example/
\tlog  {OTHER_LOG}

witness a {A}
witness\tb {B}\thttps://b.example/
witness c {C}
group pair all a b
  # one of them is enough
group any-of any pair c
quorum any-of
"""


def test_a_policy_is_read_with_comments_tabs_urls_any_and_all() -> None:
    policy = parse_policy(WHOLE.encode())
    assert [log.url for log in policy.logs] == ["https://log.example/", None]
    assert [(witness.name, witness.url) for witness in policy.witnesses] == [
        ("a", None),
        ("b", "https://b.example/"),
        ("c", None),
    ]
    assert policy.groups == (
        Group(name="pair", threshold=2, members=("a", "b")),
        Group(name="any-of", threshold=1, members=("pair", "c")),
    )
    assert policy.quorum == "any-of"


def test_a_policy_comes_back() -> None:
    policy = parse_policy(WHOLE.encode())
    assert parse_policy(format_policy(policy)) == policy


def test_the_smallest_policy_is_a_quorum_line() -> None:
    assert parse_policy(b"quorum none\n") == Policy(logs=(), witnesses=(), groups=(), quorum="none")


def test_thirty_two_and_more_of_each_kind_are_read() -> None:
    policy = Policy(
        logs=tuple(
            Log(key=log_signer(n).verifier(SignatureType.NOTE), url=None) for n in range(64)
        ),
        witnesses=tuple(
            Witness(name=f"w{n}", key=cosigner(n).verifier(SignatureType.COSIGNATURE), url=None)
            for n in range(64)
        ),
        groups=tuple(Group(name=f"g{n}", threshold=1, members=(f"w{n}",)) for n in range(64)),
        quorum="g63",
    )
    assert parse_policy(format_policy(policy)) == policy


def test_names_are_opaque_octets_and_unlike_octets_are_unlike_names() -> None:
    kelvin = "\u212a".encode()
    content = b"witness K %b\nwitness %b %b\nwitness \xff\xa0 %b\ngroup g 2 K %b\nquorum g\n" % (
        A.encode(),
        kelvin,
        B.encode(),
        C.encode(),
        kelvin,
    )
    policy = parse_policy(content)
    assert len({witness.name for witness in policy.witnesses}) == 3
    assert parse_policy(format_policy(policy)) == policy
    assert b"witness \xff\xa0 " in format_policy(policy)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "quorum none",
        f"log {LOG}\n",
        "quorum none\nquorum none\n",
        "quorum\n",
        "quorum none none\n",
        "quorum a\n",
        f"quorum a\nwitness a {A}\n",
        f"witness a {A}\nwitness a {B}\nquorum none\n",
        f"witness a {A}\nwitness b {A}\nquorum none\n",
        f"witness none {A}\nquorum none\n",
        "witness a\nquorum none\n",
        f"witness a {A} url more\nquorum none\n",
        f"witness a {LOG}\nquorum none\n",
        f"log {A}\nquorum none\n",
        f"log {LOG}\nlog {LOG}\nquorum none\n",
        "log\nquorum none\n",
        f"log {LOG} url more\nquorum none\n",
        f"log {LOG[:-1]}\nquorum none\n",
        f"witness a {A}\ngroup g 1 b\nquorum g\n",
        f"witness a {A}\ngroup g 0 a\nquorum g\n",
        f"witness a {A}\ngroup g 2 a\nquorum g\n",
        f"witness a {A}\ngroup g 01 a\nquorum g\n",
        f"witness a {A}\ngroup g +1 a\nquorum g\n",
        f"witness a {A}\ngroup g most a\nquorum g\n",
        f"witness a {A}\ngroup g 99999 a\nquorum g\n",
        f"witness a {A}\ngroup g any none\nquorum g\n",
        f"witness a {A}\ngroup g any\nquorum g\n",
        "group g all\nquorum none\n",
        f"witness a {A}\ngroup g any a\ngroup h any a\nquorum g\n",
        f"witness a {A}\ngroup g any h\ngroup h any a\nquorum g\n",
        f"witness a {A}\ngroup a any a\nquorum a\n",
        "Quorum none\n",
        "quorum none # comment\n",
        "quorum none\r\n",
        "quorum\x0bnone\n",
        "quorum none\x00\n",
        "quorum\u00a0none\n",
        "\x7fquorum none\n",
    ],
)
def test_every_other_text_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="policy"):
        parse_policy(text.encode())


def test_the_line_that_is_wrong_is_named() -> None:
    with pytest.raises(MalformedError, match="policy line 3"):
        parse_policy(b"# one\n\nlog\nquorum none\n")


def test_a_text_cut_anywhere_before_its_last_line_is_refused() -> None:
    content = format_policy(parse_policy(WHOLE.encode()))
    for length in range(len(content)):
        with pytest.raises(MalformedError):
            parse_policy(content[:length])


def test_a_text_of_the_largest_length_is_read_and_one_byte_more_is_refused() -> None:
    assert POLICY_BYTES_MAX == 1024 * 1024
    end = b"quorum none\n"
    largest = b"#" * (POLICY_BYTES_MAX - len(end) - 1) + b"\n" + end
    assert parse_policy(largest).quorum == "none"
    with pytest.raises(MalformedError, match="at most"):
        parse_policy(b"#" + largest)
