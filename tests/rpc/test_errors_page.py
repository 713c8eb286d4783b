"""The page of reasons says what the table of reasons says."""

from caretree.model.reasons import ERROR_DOMAIN, Reason

from ops.generate_errors_page import PAGE, page


def test_the_page_is_what_the_table_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_reason_fits_an_error_info_and_says_what_to_do() -> None:
    for reason in Reason:
        assert len(reason.name) <= 63
        assert reason.name == reason.name.upper()
        assert reason.explanation.cause.endswith(".")
        assert reason.explanation.next_step.endswith(".")
        assert f"| {reason.name} | {reason.explanation.code.name} |" in page()
    assert ERROR_DOMAIN in page()
