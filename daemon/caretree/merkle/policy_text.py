"""The text of a policy (c2sp.org/tlog-policy): one definition a line, each before its use."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from caretree.merkle.keys import format_vkey, parse_vkey
from caretree.merkle.policy import Group, Log, Policy, Witness
from caretree.model.errors import MalformedError
from caretree.model.limits import MIB

POLICY_BYTES_MAX = 1 * MIB
_THRESHOLD = re.compile(r"[1-9][0-9]{0,3}")
_FORBIDDEN = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")


@dataclass(slots=True)
class _Draft:
    """The definitions read so far."""

    logs: list[Log] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    defined: set[str] = field(default_factory=lambda: {"none"})
    quorum: str | None = None


def format_policy(policy: Policy) -> bytes:
    """The policy's text, which `parse_policy` reads back."""
    lines = [_words("log", format_vkey(log.key), log.url) for log in policy.logs]
    lines += [
        _words("witness", witness.name, format_vkey(witness.key), witness.url)
        for witness in policy.witnesses
    ]
    lines += [
        _words("group", group.name, str(group.threshold), *group.members) for group in policy.groups
    ]
    lines.append(_words("quorum", policy.quorum))
    return "".join(lines).encode("utf-8", "surrogateescape")


def parse_policy(content: bytes) -> Policy:
    """The policy behind this text.

    Names and URLs are opaque octets: bytes that are not UTF-8 are carried as surrogates and written
    back as they were.

    Raises:
        MalformedError: too long, a control character, a cut last line, a line of no known form, or
            what `Policy` refuses.
    """
    if len(content) > POLICY_BYTES_MAX:
        raise MalformedError("policy", f"expected at most {POLICY_BYTES_MAX} bytes")
    if _FORBIDDEN.search(content):
        raise MalformedError("policy", "expected no control characters but tab and newline")
    if not content.endswith(b"\n"):  # else a file cut within a group would pass as a smaller group
        raise MalformedError("policy", "expected a newline at the end of the last line")
    draft = _Draft()
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        # Splitting bytes knows ASCII separators only, of which no others than space and tab are
        # left.
        words = [word.decode("utf-8", "surrogateescape") for word in line.split()]
        if words and not words[0].startswith("#"):
            _read_line(draft, number, words)
    if draft.quorum is None:
        raise MalformedError("policy", "expected a quorum line")
    return Policy(
        logs=tuple(draft.logs),
        witnesses=tuple(draft.witnesses),
        groups=tuple(draft.groups),
        quorum=draft.quorum,
    )


def _read_line(draft: _Draft, number: int, words: list[str]) -> None:
    """Add what a line defines."""
    keyword, *arguments = words
    read = _READERS.get(keyword)
    if read is None:
        raise MalformedError(f"policy line {number}", "expected log, witness, group or quorum")
    try:
        read(draft, arguments)
    except MalformedError as error:
        raise MalformedError(f"policy line {number}", error.expected) from error


def _read_log(draft: _Draft, arguments: list[str]) -> None:
    if not 1 <= len(arguments) <= 2:
        raise MalformedError("log", "expected log <vkey> [<url>]")
    vkey, url = arguments[0], _optional(arguments[1:])
    draft.logs.append(Log(key=parse_vkey(vkey), url=url))


def _read_witness(draft: _Draft, arguments: list[str]) -> None:
    if not 2 <= len(arguments) <= 3:
        raise MalformedError("witness", "expected witness <name> <vkey> [<url>]")
    name, vkey, url = arguments[0], arguments[1], _optional(arguments[2:])
    draft.witnesses.append(Witness(name=name, key=parse_vkey(vkey), url=url))
    draft.defined.add(name)


def _read_group(draft: _Draft, arguments: list[str]) -> None:
    if len(arguments) < 3:
        raise MalformedError("group", "expected group <name> <k, any or all> <member>...")
    name, threshold, *members = arguments
    _require_defined(draft, members)
    draft.groups.append(
        Group(name=name, threshold=_threshold(threshold, len(members)), members=tuple(members))
    )
    draft.defined.add(name)


def _read_quorum(draft: _Draft, arguments: list[str]) -> None:
    if len(arguments) != 1 or draft.quorum is not None:
        raise MalformedError("quorum", "expected one line quorum <name>")
    _require_defined(draft, arguments)
    draft.quorum = arguments[0]


_READERS: dict[str, Callable[[_Draft, list[str]], None]] = {
    "log": _read_log,
    "witness": _read_witness,
    "group": _read_group,
    "quorum": _read_quorum,
}


def _threshold(text: str, members: int) -> int:
    """How many of so many members a group asks for."""
    match text:
        case "any":
            return 1
        case "all":
            return members
        case _ if _THRESHOLD.fullmatch(text):
            return int(text)
        case _:
            raise MalformedError("group", "expected a number from 1, any or all")


def _require_defined(draft: _Draft, names: list[str]) -> None:
    if not draft.defined.issuperset(names):
        raise MalformedError("name", "expected only names defined on lines before")


def _optional(arguments: list[str]) -> str | None:
    return arguments[0] if arguments else None


def _words(*words: str | None) -> str:
    return " ".join(word for word in words if word is not None) + "\n"
