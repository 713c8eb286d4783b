import pytest
from caretree.crypto.suite import (
    FORMAT_VERSION,
    SUITE_1,
    NewerFormatError,
    UnknownSuiteError,
    check_key,
    check_suite,
    check_version,
)
from caretree.model.errors import MalformedError


def test_this_release_reads_its_own_version_and_suite() -> None:
    check_version(FORMAT_VERSION, field="payload")
    check_suite(SUITE_1, field="payload")


@pytest.mark.parametrize("version", [2, 255])
def test_what_is_newer_is_refused_with_the_advice_to_upgrade(version: int) -> None:
    with pytest.raises(NewerFormatError, match=r"payload: .*upgrade"):
        check_version(version, field="payload")


def test_version_0_was_never_written() -> None:
    with pytest.raises(MalformedError) as caught:
        check_version(0, field="payload")
    assert not isinstance(caught.value, NewerFormatError)


@pytest.mark.parametrize("suite", [0, 2, 255])
def test_other_suites_are_refused(suite: int) -> None:
    with pytest.raises(UnknownSuiteError, match="payload"):
        check_suite(suite, field="payload")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    with pytest.raises(MalformedError, match=f"found {length}"):
        check_key(bytes(length), field="storage key")
