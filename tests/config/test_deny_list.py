"""The file of certificates that are not let in: read leniently in form, strictly in substance."""

from pathlib import Path

import pytest
from caretree.config import deny_list
from caretree.config.deny_list import DENIED_MAX, read_deny_list
from caretree.config.errors import ConfigError

ONE, TWO = bytes(range(32)), bytes([0xAB]) * 32


def _write(folder: Path, text: str | bytes) -> Path:
    path = folder / "denied"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE.hex()}\n{TWO.hex()}\n",
        f"{ONE.hex().upper()}\r\n{TWO.hex()}",
        f"{ONE.hex(':')}  dr-wang, who lost a laptop\n\n\t{TWO.hex(':').upper()}\told records\n",
        f"# lost in June\n{ONE.hex()} # a laptop\n  # and\n{TWO.hex()}#\n{TWO.hex()}\n",
    ],
    ids=["plain", "upper case, carriage returns", "colons, names, blanks", "comments, twice"],
)
def test_every_line_names_one_certificate(tmp_path: Path, text: str) -> None:
    assert read_deny_list(_write(tmp_path, text)) == {ONE, TWO}


@pytest.mark.parametrize("text", ["", "\n\n", "# nobody\n"])
def test_a_list_may_name_nobody(tmp_path: Path, text: str) -> None:
    assert read_deny_list(_write(tmp_path, text)) == frozenset()


@pytest.mark.parametrize(
    "line",
    [
        ONE.hex()[:-1],
        ONE.hex() + "0",
        ONE.hex()[:-1] + "g",
        ONE.hex(":")[:-3],
        ONE.hex(":", 2),
        ONE.hex(":").replace(":", "", 1),
        ONE.hex("-"),
        "sha256:" + ONE.hex(),
        "dr-wang",
        f"dr-wang {ONE.hex()}",
        "\ufeff" + ONE.hex(),
        "\uff10" * 64,
    ],
)
def test_a_line_that_is_none_is_named_and_not_repeated(tmp_path: Path, line: str) -> None:
    path = _write(tmp_path, f"# lost\n{TWO.hex()}\n\n{line}\n")

    with pytest.raises(ConfigError) as caught:
        read_deny_list(path)

    assert caught.value.line == 4
    assert str(caught.value).startswith(f"{path}:4: expected a SHA-256 fingerprint")
    assert line not in str(caught.value)


def test_a_list_of_the_largest_length_is_read_and_a_longer_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DENIED_MAX == 10_000
    monkeypatch.setattr(deny_list, "DENIED_MAX", 3)
    lines = [bytes([number] * 32).hex() for number in range(4)]
    assert len(read_deny_list(_write(tmp_path, "\n".join(lines[:3])))) == 3

    with pytest.raises(ConfigError, match=r":4: expected at most 3 fingerprints"):
        read_deny_list(_write(tmp_path, "\n".join(lines)))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: cannot be read: No such file"):
        read_deny_list(tmp_path / "nowhere")


def test_what_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":2: expected UTF-8"):
        read_deny_list(_write(tmp_path, TWO.hex().encode() + b"\n\xff\xfe\n"))
