"""Receipts with something changed, each of which must be refused; and changes that change nothing.

A receipt is text: a head (extra, index, proof) and a certified checkpoint with as many signature
lines as it needs. So whatever is done to a line of a receipt matters, but for what the formats say
means nothing:

1. lines of unknown keys are passed over, and lines may stand in any order and twice (signed-note);
2. the extra is a protobuf message, whose fields may stand in any order (receipt.proto);
3. the author of an erased entry is not shown to anyone, for nothing binds it any more.

Beside these, two changes say other than the receipt did, and say it truly: another co-signer's
line adds that co-signer, and taking out body and salt leaves the receipt of an erased entry.
"""

import binascii
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Final

from caretree.merkle.lines import format_line
from caretree.model.ids import MemberId
from caretree.proto.ledger.v1 import receipt_pb2

from tests.fuzz.shapes import LOOKALIKES, read_fields, write_fields
from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.receipts import clear, extra_of, respelled
from tests.ledger.samples import History, history

_ENTRIES: Final = (0, *range(2, 11))
_BLANKS: Final = (b" ", b"\t", b"\r", b"\x00", b"\x0b", "\u00a0".encode(), "\u200b".encode())
_BEGINS: Final = (b"\xef\xbb\xbf", b"\n", b" ", b"\r\n")
_ENDS: Final = (b"\n", b" ", b"\x00", b"\r\n", b"\n\n", b"- a b\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A changed receipt and what was done to it."""

    name: str
    file: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """A receipt's lines: header, extra, index, hashes, checkpoint text, signature lines."""

    header: bytes
    extra: bytes
    index: bytes
    hashes: tuple[bytes, ...]
    text: tuple[bytes, ...]
    lines: tuple[bytes, ...]

    def file(self) -> bytes:
        """The receipt of these lines."""
        head = (self.header, self.extra, self.index, *self.hashes, b"")
        return b"".join(line + b"\n" for line in (*head, *self.text, b"", *self.lines))


def parts_of(file: bytes) -> Parts:
    """The lines of a receipt that was not changed."""
    head, text, signatures = file.removesuffix(b"\n").split(b"\n\n")
    header, extra, index, *hashes = head.split(b"\n")
    parts = Parts(
        header,
        extra,
        index,
        tuple(hashes),
        tuple(text.split(b"\n")),
        tuple(signatures.split(b"\n")),
    )
    assert parts.file() == file
    return parts


@cache
def receipts() -> tuple[bytes, ...]:
    """The receipts of one history, of each kind of entry."""
    return tuple(history().receipt(index) for index in _ENTRIES)


@cache
def later_receipts() -> tuple[bytes, ...]:
    """The receipts of the same entries in a larger tree of the same log."""
    larger = history(later_blocks=2)
    return tuple(larger.receipt(index) for index in _ENTRIES)


def truncated(random: Random) -> Iterator[Mutation]:
    """Every receipt cut at every place, in chance order."""
    cuts = [(place, at) for place, file in enumerate(receipts()) for at in range(len(file))]
    random.shuffle(cuts)
    for place, at in cuts:
        yield Mutation(name=f"receipt {place} cut at {at}", file=receipts()[place][:at])


def flipped(random: Random) -> Iterator[Mutation]:
    """A bit flipped anywhere in the file."""
    while True:
        place = random.randrange(len(receipts()))
        file = bytearray(receipts()[place])
        bit = random.randrange(8 * len(file))
        file[bit // 8] ^= 1 << bit % 8
        yield Mutation(name=f"bit {bit} of receipt {place} flipped", file=bytes(file))


def flipped_inside(random: Random) -> Iterator[Mutation]:
    """A bit flipped in what some line holds in base64, which is then encoded as it should be."""
    while True:
        place = random.randrange(len(receipts()))
        lines = receipts()[place].split(b"\n")
        encoded = [at for at, line in enumerate(lines) if _content_of(line)]
        at = random.choice(encoded)
        content = bytearray(_content_of(lines[at]))
        bit = random.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        lines[at] = _with_content(lines[at], bytes(content))
        yield Mutation(
            name=f"bit {bit} inside line {at} of receipt {place} flipped", file=b"\n".join(lines)
        )


def moved_lines(random: Random) -> Iterator[Mutation]:
    """A line lost, doubled or swapped with another; signature lines are doubled by no means."""
    while True:
        place = random.randrange(len(receipts()))
        parts = parts_of(receipts()[place])
        lines = receipts()[place].split(b"\n")[:-1]
        signed_from = len(lines) - len(parts.lines)
        at, other = random.randrange(len(lines)), random.randrange(len(lines))
        what = random.choice(("lost", "doubled", "swapped", "moved"))
        both_signatures = at >= signed_from and other >= signed_from
        if what == "lost":
            del lines[at]
        elif what == "doubled" and at < signed_from:
            lines.insert(at, lines[at])
        elif what == "swapped" and not both_signatures:
            lines[at], lines[other] = lines[other], lines[at]
        elif what == "moved" and not both_signatures:
            lines.insert(other, lines.pop(at))
        yield Mutation(
            name=f"line {at} of receipt {place} {what} ({other})",
            file=b"".join(line + b"\n" for line in lines),
        )


def doubled_signatures(random: Random) -> Iterator[Mutation]:
    """A signature line again, with a bit of its signature flipped."""
    while True:
        place = random.randrange(len(receipts()))
        parts = parts_of(receipts()[place])
        at = random.randrange(len(parts.lines))
        content = bytearray(_content_of(parts.lines[at]))
        bit = random.randrange(8 * 4, 8 * len(content))  # behind the key id
        content[bit // 8] ^= 1 << bit % 8
        wrong = _with_content(parts.lines[at], bytes(content))
        lines = list(parts.lines)
        lines.insert(random.randint(0, len(lines)), wrong)
        changed = replace(parts, lines=tuple(lines))
        yield Mutation(
            name=f"line {at} of receipt {place} doubled, bit {bit} flipped", file=changed.file()
        )


def changed_proofs(random: Random) -> Iterator[Mutation]:
    """Hashes of the proof lost, added, reversed or replaced; another index."""
    every = (*receipts(), *later_receipts())
    while True:
        place = random.randrange(len(every))
        parts = parts_of(every[place])
        index, hashes = parts.index, list(parts.hashes)
        what, at = random.randrange(5), random.randrange(len(hashes))
        other = random.choice((*_other_hashes(), _base64(random.randbytes(32))))
        match what:
            case 0:
                del hashes[at : at + random.randint(1, 3)]
            case 1:
                hashes.insert(random.randint(0, len(hashes)), other)
            case 2:
                random.shuffle(hashes)
            case 3:
                hashes[at] = other
            case _:
                index = b"index %d" % (random.getrandbits(64) >> random.randrange(64))
        changed = replace(parts, index=index, hashes=tuple(hashes))
        yield Mutation(name=f"proof of receipt {place} changed ({what}, {at})", file=changed.file())


def merged(random: Random) -> Iterator[Mutation]:
    """Parts of two receipts put together: of one tree, of two trees, of two logs."""
    every = (*receipts(), *later_receipts())
    while True:
        first, second = random.sample(range(len(every)), 2)
        chosen = [parts_of(every[random.choice((first, second))]) for _ in range(4)]
        mixed = Parts(
            chosen[0].header,
            chosen[0].extra,
            chosen[1].index,
            chosen[2].hashes,
            chosen[3].text,
            chosen[random.randrange(4)].lines,
        )
        yield Mutation(name=f"receipts {first} and {second} merged", file=mixed.file())


def changed_extras(random: Random) -> Iterator[Mutation]:
    """One or two fields of the extra left out, or as another receipt has them."""
    fields = [field.name for field in receipt_pb2.ReceiptExtra.DESCRIPTOR.fields]
    every = (*receipts(), *later_receipts())
    while True:
        first, second = random.sample(range(len(every)), 2)
        extra, other = extra_of(every[first]), extra_of(every[second])
        names = random.sample(fields, random.choice((1, 2)))
        if set(names) == {"salt", "body"}:
            continue  # left out together they make an erased entry's receipt
        clear(extra, *names)
        if random.random() < 0.7:
            clear(other, *(name for name in fields if name not in names))
            extra.MergeFrom(other)
        yield Mutation(
            name=f"{names} of receipt {first} left out, or as in {second}",
            file=respelled(every[first], extra),
        )


def blanks(random: Random) -> Iterator[Mutation]:
    """A blank somewhere, other ends of lines, marks before and behind."""
    while True:
        place = random.randrange(len(receipts()))
        file = receipts()[place]
        what = random.randrange(5)
        if what == 0:
            at, blank = random.randint(0, len(file)), random.choice(_BLANKS)
            changed = file[:at] + blank + file[at:]
        elif what == 1:
            changed = file.replace(b"\n", random.choice((b"\r\n", b"\r", b" \n", b"\n\n")))
        elif what == 2:
            lines = file.split(b"\n")
            at = random.randrange(len(lines) - 1)
            lines[at] += random.choice(_BLANKS)
            changed = b"\n".join(lines)
        elif what == 3:
            changed = random.choice(_BEGINS) + file
        else:
            changed = file + random.choice(_ENDS)
        yield Mutation(name=f"blanks in receipt {place} ({what})", file=changed)


def lookalikes(random: Random) -> Iterator[Mutation]:
    """A sign in the place of one that looks the same."""
    while True:
        place = random.randrange(len(receipts()))
        one, other = random.choice(LOOKALIKES)
        pieces = receipts()[place].split(one)
        if len(pieces) == 1:
            continue
        at = random.randrange(1, len(pieces))
        changed = one.join(pieces[:at]) + other + one.join(pieces[at:])
        yield Mutation(name=f"look-alike {other!r} for {one!r} in receipt {place}", file=changed)


def same_statements() -> Iterator[tuple[bytes, Mutation]]:
    """Each receipt beside a file that says the same, by rules 1 to 3 above."""
    for file in receipts():
        parts = parts_of(file)
        stranger = b"\xe2\x80\x94 stranger.example " + _base64(bytes(range(76)))
        for name, lines in (
            ("lines in another order", parts.lines[::-1]),
            ("a line twice", (*parts.lines, parts.lines[0], parts.lines[-1])),
            ("a stranger's line", (stranger, *parts.lines)),
        ):
            changed = replace(parts, lines=lines)
            yield file, Mutation(name=name, file=changed.file())
        fields = read_fields(_content_of(parts.extra))
        assert fields is not None
        # Of a repeated field the order counts: only fields of other numbers change places.
        turned = tuple(sorted(fields, key=lambda field: -field.number))
        extra = _with_content(parts.extra, write_fields(turned))
        reordered = replace(parts, extra=extra)
        yield file, Mutation(name="fields of the extra in another order", file=reordered.file())
    erased = history().receipt(2, erased=True)
    extra_message = extra_of(erased)
    extra_message.author_peer = b"someone!"
    yield (
        erased,
        Mutation(name="another author of what was erased", file=respelled(erased, extra_message)),
    )


def truer_statements() -> Iterator[tuple[bytes, Mutation, MemberId | None]]:
    """A receipt beside one that says more or less, and truly: with whose line more, or erased."""
    known = history()
    for file in receipts():
        parts = parts_of(file)
        lines = _all_lines(known)
        more = replace(parts, lines=lines)
        yield file, Mutation(name="another co-signer's line", file=more.file()), OFFICE
    for index in _ENTRIES[1:]:
        erased = known.receipt(index, erased=True)
        yield known.receipt(index), Mutation(name="erased", file=erased), None


def _all_lines(known: History) -> tuple[bytes, ...]:
    certificate = known.certificate(TOWN, HOSPITAL, OFFICE)
    return tuple(format_line(line.line).removesuffix("\n").encode() for line in certificate.lines)


@cache
def _other_hashes() -> tuple[bytes, ...]:
    found = {value for file in later_receipts() for value in parts_of(file).hashes}
    known = {value for file in receipts() for value in parts_of(file).hashes}
    return tuple(sorted(found - known))


def _content_of(line: bytes) -> bytes:
    """What the line holds in base64; empty when it holds none."""
    word = line.rpartition(b" ")[2]
    try:
        content = binascii.a2b_base64(word, strict_mode=True)
    except binascii.Error:
        return b""
    return content if len(content) >= 32 else b""


def _with_content(line: bytes, content: bytes) -> bytes:
    before, blank, _ = line.rpartition(b" ")
    return before + blank + _base64(content)


def _base64(content: bytes) -> bytes:
    return binascii.b2a_base64(content, newline=False)
