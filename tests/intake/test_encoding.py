"""That bytes are taken as UTF-8 or as what is said of them, and else refused by a good guess."""

import pytest
from caretree.intake.encoding import ENCODINGS, likely_encoding, to_utf8
from caretree.intake.errors import EncodingError
from hypothesis import given
from hypothesis import strategies as st

CHINESE = '{"name":"欧阳小明","address":"云河县清溪镇柳树村","note":"空腹血糖偏高、建议复查。"}'
LATIN = '{"name":"Béatrice Muñoz-Lefèvre","city":"Zürich","note":"à surveiller"}'


@pytest.mark.parametrize(
    ("text", "codec", "likely"),
    [
        (CHINESE, "gb18030", "gb18030"),
        (CHINESE, "gbk", "gb18030"),
        (CHINESE, "gb2312", "gb18030"),
        (CHINESE, "utf-16", "utf-16"),
        (CHINESE, "utf-16-le", "utf-16-le"),
        (CHINESE, "utf-16-be", "utf-16-be"),
        (CHINESE, "utf-32", "utf-32"),
        ('{"plain":"ascii"}', "utf-16-le", "utf-16-le"),
        (LATIN, "iso8859-1", "iso8859-1"),
        ('{"name":"陳大文","note":"請於明日覆診並檢查血壓"}', "big5", "big5"),
    ],
)
def test_what_is_not_utf_8_is_refused_with_its_likely_encoding(
    text: str, codec: str, likely: str
) -> None:
    data = text.encode(codec)
    with pytest.raises(EncodingError) as caught:
        to_utf8(data, encoding=None)
    assert caught.value.likely == likely
    assert f"--encoding {likely}" in caught.value.message
    assert to_utf8(data, encoding=likely) == text.encode()


def test_damaged_utf_8_is_called_so_and_names_the_byte() -> None:
    data = bytearray(CHINESE.encode())
    data[10] = 0xFF
    with pytest.raises(EncodingError, match="not UTF-8 at byte") as caught:
        to_utf8(bytes(data), encoding=None)
    assert caught.value.likely == "utf-8"
    assert "--encoding" not in caught.value.message


@pytest.mark.parametrize("encoding", [None, "utf-8", "UTF8"])
def test_utf_8_stays_as_it_is_but_for_a_byte_order_mark(encoding: str | None) -> None:
    data = CHINESE.encode()
    assert to_utf8(data, encoding=encoding) == data
    assert to_utf8(b"\xef\xbb\xbf" + data, encoding=encoding) == data


def test_utf_8_is_never_read_as_something_else() -> None:
    with pytest.raises(EncodingError, match="UTF-8 already"):
        to_utf8(CHINESE.encode(), encoding="gb18030")


def test_ascii_is_the_same_in_every_encoding_of_bytes() -> None:
    assert to_utf8(b'{"a":1}', encoding="gb18030") == b'{"a":1}'


def test_bytes_that_are_not_what_was_named_are_refused_at_the_byte() -> None:
    with pytest.raises(EncodingError, match="not gb18030 at byte 2"):
        to_utf8(b"{}\xff", encoding="gb18030")


@pytest.mark.parametrize("encoding", ["rot13", "unicode_escape", "utf-7", "klingon", "", "a\0b"])
def test_an_unknown_encoding_is_refused_with_the_known_ones(encoding: str) -> None:
    with pytest.raises(EncodingError, match="gb18030"):
        to_utf8(b"{}", encoding=encoding)


def test_no_error_holds_the_bytes_it_is_about() -> None:
    with pytest.raises(EncodingError) as caught:
        to_utf8(CHINESE.encode("gb18030"), encoding=None)
    assert caught.value.__context__ is None
    with pytest.raises(EncodingError) as caught:
        to_utf8(b"{}\xff", encoding="gb18030")
    assert caught.value.__context__ is None


@given(data=st.binary(max_size=200), encoding=st.none() | st.sampled_from(ENCODINGS))
def test_any_bytes_become_utf_8_or_our_error(data: bytes, encoding: str | None) -> None:
    assert likely_encoding(data) in ENCODINGS
    try:
        text = to_utf8(data, encoding=encoding)
    except EncodingError:
        return
    text.decode()
