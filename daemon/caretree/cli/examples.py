"""What each command is for, and one example that runs as it stands.

The examples are one story, in order, run by a test: a consortium of three is founded, a record goes
in at the township's centre, is opened to the hospital and read there, and proves itself offline.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    """A command's help: what it does, and its example."""

    what: str
    example: str

    def text(self) -> str:
        """The help as a terminal shows it, the example's line not filled up with the others."""
        return f"{self.what}\n\n\b\nExample:\n  {self.example}"


_PATIENT: Final = "--patient 999999199001011238"
_RECORDS: Final = "--client town/principals/records/client.toml"
_CHEN: Final = "--client hospital/principals/dr-chen/client.toml"
_OFFICER: Final = "--client office/principals/officer/client.toml"
_NIGHT: Final = "--client town/principals/night-shift/client.toml"
_WANG: Final = "--person dr-wang --role physician"

COMMANDS: Final[dict[str, Help]] = {
    "consortium create": Help(
        what="Write an invitation to found a consortium.",
        example="caretree consortium create city.example --member town --member hospital"
        " --member office --out invitation",
    ),
    "member init": Help(
        what="Make a member's keys, certificates and configuration in a new directory, and its"
        " answer to the invitation. The code of the recovery kit is shown once and has to be typed"
        " back.",
        example='caretree member init invitation --member town --display-name "Township Centre"'
        " --directory town --address 127.0.0.1:7402",
    ),
    "consortium found": Help(
        what="Collect every member's join request into the genesis, with a fresh pseudonym key"
        " sealed to each of them.",
        example="caretree consortium found invitation town/join-request hospital/join-request"
        " office/join-request --out genesis",
    ),
    "member sign": Help(
        what="Sign a genesis, once it is found to say exactly what this member was invited to and"
        " asked for.",
        example="caretree member sign genesis --directory town --out town.signature",
    ),
    "member import": Help(
        what="Import a genesis that every founder signed, by the hash that the members compared,"
        " and begin the data directory with it.",
        example="caretree member import genesis town.signature hospital.signature office.signature"
        " --hash HASH --directory town",
    ),
    "policy": Help(
        what="Write the policy (c2sp.org/tlog-policy) by which receipts are verified, out of a"
        " founded genesis.",
        example="caretree policy --genesis town/genesis --hash HASH --out policy",
    ),
    "member principal": Help(
        what="Issue a certificate for a person, system or operator of this member, list it in the"
        " configuration, and make the folder that its client needs.",
        example="caretree member principal records --kind system --role physician --role registrar"
        " --directory town",
    ),
    "member renew": Help(
        what="Renew the peer's certificate, or a principal's, for another year. A running daemon"
        " reads its own by itself.",
        example="caretree member renew --directory town",
    ),
    "member restore": Help(
        what="Restore a member's keys on an empty machine from its recovery kit; the code is asked"
        " for. A kit holds no peer's keys, so nothing can be signed with what is restored.",
        example="caretree member restore town/recovery-kit --genesis hospital/genesis --hash HASH"
        " --directory restored",
    ),
    "member open-records": Help(
        what="Open this member's own records in a copy of its data directory, offline.",
        example="caretree member open-records --directory restored --data copied-data --out opened",
    ),
    "serve": Help(
        what="Run this member's daemon.", example="caretree serve --config town/caretree.toml"
    ),
    "append": Help(
        what="Add one record, from a file or the standard input, and say when it is certified.",
        example=f"caretree append check-up.json {_PATIENT} {_RECORDS} {_WANG}",
    ),
    "import": Help(
        what="Import FHIR R4 bundles, a file or a folder: one record of each Encounter, and records"
        " of what refers to none. May be stopped and run again; a second import adds nothing.",
        example=f"caretree import bundles --report report.csv {_RECORDS} {_WANG}",
    ),
    "history": Help(
        what="Read a patient's history, newest first. The reading is an entry of the trail before"
        " any content is released.",
        example=f"caretree history {_PATIENT} {_RECORDS} {_WANG}",
    ),
    "get": Help(
        what="Read one record, byte for byte.",
        example=f"caretree get RECORD --out record.json {_RECORDS} {_WANG}",
    ),
    "grant": Help(
        what="Open this member's records of a patient to another member.",
        example=f"caretree grant --to hospital --to-role physician --days 30 {_PATIENT} {_RECORDS}"
        f" {_WANG}",
    ),
    "grants": Help(
        what="List the grants of a patient that this member gave or received.",
        example=f"caretree grants {_PATIENT} {_CHEN}",
    ),
    "revoke": Help(
        what="Take grants of a patient back: one by its id, or all of a member's.",
        example=f"caretree revoke --from hospital {_PATIENT} {_RECORDS} {_WANG}",
    ),
    "audit": Help(
        what="Read the trail: who opened, closed and read what, newest first.",
        example=f"caretree audit {_OFFICER}",
    ),
    "receipt": Help(
        what="Fetch a record's receipt, verify it, and put it into a file.",
        example=f"caretree receipt RECORD --out record.receipt {_RECORDS}",
    ),
    "verify": Help(
        what="Verify a receipt offline. Exit status 0 when it holds, 1 when it does not.",
        example="caretree verify record.receipt --policy town/policy",
    ),
    "status": Help(
        what="Show how this member's peer and the consortium are doing.",
        example=f"caretree status {_NIGHT}",
    ),
    "transfer-leadership": Help(
        what="Hand leadership to another voter; the leader chooses when none is named.",
        example=f"caretree transfer-leadership --to hospital {_NIGHT}",
    ),
}
