"""The bytes of a file as UTF-8, or a refusal that names the encoding they are likely in.

FHIR JSON is UTF-8 (R4, section 2.6.2). Systems of the region also write GB18030 and UTF-16; bytes
of those are never guessed into a record: whoever imports names the encoding, or nothing is taken.
"""

import codecs
from typing import Final

from caretree.intake.errors import EncodingError

# Text encodings that clinical systems write. Python knows more, some of which are no encodings of
# files (unicode_escape, idna) and one of which (utf-7) hides ASCII inside ASCII.
ENCODINGS: Final = (
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "gbk", "gb2312", "big5",
    "shift_jis", "euc_jp", "euc_kr", "iso8859-1", "cp1252",
)  # fmt: skip

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The first halves of the characters that each standard puts first, as the commonest.
_COMMON_HANZI: Final = {
    "gb18030": ("gb2312", range(0xB0, 0xD8)),
    "big5": ("big5", range(0xA4, 0xC7)),
}
_SAMPLE_BYTES = 256 * 1024
_DAMAGE_SHARE_MAX = 0.05
_HANZI_SHARE_MIN = 0.5


def to_utf8(data: bytes, *, encoding: str | None) -> bytes:
    """The text of `data` as UTF-8 bytes without a byte order mark; bytes of UTF-8 stay as they are.

    Raises:
        EncodingError: `data` is not in `encoding` (UTF-8 when None), the encoding is not one of
            ENCODINGS, or an encoding is named although the bytes are UTF-8 with letters beyond
            ASCII: GB18030 would read those without complaint, and wrongly.
    """
    name = "utf-8" if encoding is None else _known_encoding(encoding)
    if name == "utf-8":
        return _checked_utf8(data)
    if not data.isascii() and _wide_encoding(data) is None and _is_utf8(data):
        raise EncodingError(
            f"the bytes are UTF-8 already, not {name}: import this file without --encoding",
            likely="utf-8",
        )
    try:
        return data.decode(name).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        offset = error.start if isinstance(error, UnicodeDecodeError) else 0
    # Outside the handler: the codec's error holds the whole file and would travel as context.
    raise EncodingError(f"not {name} at byte {offset}", likely=None)


def likely_encoding(data: bytes) -> str:
    """The encoding that bytes which are not UTF-8 are most likely in.

    A guess for a message, never for taking data in. "utf-8" means UTF-8 with damaged places.
    """
    wide = _wide_encoding(data)
    if wide is not None:
        return wide
    sample = data[:_SAMPLE_BYTES]
    if _damaged_utf8(sample):
        return "utf-8"
    shares = {
        name: _hanzi_share(sample, codec=codec, leads=leads)
        for name, (codec, leads) in _COMMON_HANZI.items()
    }
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= _HANZI_SHARE_MIN else "iso8859-1"


def _known_encoding(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        name = ""
    if name not in ENCODINGS:
        raise EncodingError(f"unknown encoding; known are {', '.join(ENCODINGS)}", likely=None)
    return name


def _checked_utf8(data: bytes) -> bytes:
    # UTF-16 of ASCII alone is valid UTF-8, full of NULs; a JSON text never begins with one.
    offset: int | None = None
    if _wide_encoding(data) is not None:
        offset = 0
    else:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            offset = error.start
    if offset is None:
        return data.removeprefix(codecs.BOM_UTF8)
    likely = likely_encoding(data)
    advice = (
        "likely UTF-8 with damaged places: ask its source for it again"
        if likely == "utf-8"
        else f"likely {likely}: import it with --encoding {likely}"
    )
    raise EncodingError(f"not UTF-8 at byte {offset}; {advice}", likely=likely)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _wide_encoding(data: bytes) -> str | None:
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return name
    # Without a mark: the first character of a JSON text is ASCII (RFC 8259 section 2).
    if len(data) >= 2 and data[0] != 0 and data[1] == 0:
        return "utf-16-le"
    if len(data) >= 2 and data[0] == 0 and data[1] != 0:
        return "utf-16-be"
    return None


def _damaged_utf8(sample: bytes) -> bool:
    """True when nearly all letters beyond ASCII are whole UTF-8 sequences."""
    text = sample.decode(errors="replace")
    damaged = text.count("\ufffd")
    whole = sum(1 for character in text if character > "\x7f") - damaged
    # One damaged byte of a Chinese letter leaves three replacement characters behind.
    return whole > damaged and damaged <= max(3, whole * _DAMAGE_SHARE_MAX)


def _hanzi_share(sample: bytes, *, codec: str, leads: range) -> float:
    """The share of bytes beyond ASCII that are halves of an encoding's common Chinese characters.

    Only characters whose halves are both beyond ASCII count. Where the second half may be ASCII, an
    accented Latin letter before a plain one looks like a Chinese character too.
    """
    beyond_ascii = sum(1 for byte in sample if byte > 0x7F)
    pairs = (
        character.encode(codec)
        for character in sample.decode(codec, errors="ignore")
        if character > "\x7f"
    )
    halves = sum(2 for pair in pairs if pair[0] in leads and pair[-1] > 0x7F)
    return halves / beyond_ascii if beyond_ascii else 0.0
