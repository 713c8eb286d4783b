import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from aiohttp.http_exceptions import BadStatusLine
from caretree.model.errors import FatalError, UnavailableError
from caretree.telemetry.exceptions import FRAMES_MAX, render_exception
from caretree.telemetry.logs import LINE_BYTES_MAX, build_logger, capture_standard_logging
from caretree.telemetry.redaction import REDACTED

NUMBER = "999999194910010014"
FAMILY_NAME = "\u6b27\u9633"


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The process' root logger, put back afterwards."""
    root = logging.getLogger()
    before = list(root.handlers), root.level, logging.raiseExceptions
    yield root
    root.handlers[:], root.level, logging.raiseExceptions = before
    structlog.reset_defaults()


def test_a_line_is_json_with_time_level_and_event_first() -> None:
    lines: list[bytes] = []

    build_logger(lines.append, level="info").bind(peer="00aa").info("became leader", term=7)

    (line,) = lines
    fields = json.loads(line)
    assert list(fields) == ["time", "level", "event", "peer", "term"]
    assert fields["time"].endswith("Z")
    assert (fields["level"], fields["event"], fields["term"]) == ("info", "became leader", 7)
    assert b"\n" not in line


def test_a_line_below_the_level_is_not_written() -> None:
    lines: list[bytes] = []
    logger = build_logger(lines.append, level="warning")

    logger.info("quiet")
    logger.warning("loud")

    assert [json.loads(line)["event"] for line in lines] == ["loud"]


def test_secrets_are_redacted_wherever_they_stand() -> None:
    lines: list[bytes] = []
    logger = build_logger(lines.append, level="debug")

    event = "read " + NUMBER
    logger.info(event, patient=FAMILY_NAME, note=[{"value": NUMBER}], **{NUMBER: 1})

    text = lines[0].decode()
    assert NUMBER not in text
    assert FAMILY_NAME not in text
    assert json.loads(text)["patient"] == REDACTED


def test_an_exception_is_shown_with_frames_and_without_locals() -> None:
    lines: list[bytes] = []
    logger = build_logger(lines.append, level="info")

    def fail(secret: str) -> None:
        raise UnavailableError("no quorum", retry_after_ms=len(secret))

    try:
        fail("a local value")
    except UnavailableError:
        logger.exception("call failed")

    shown = json.loads(lines[0])["exception"]
    assert shown["type"] == "caretree.model.errors.UnavailableError"
    assert shown["message"] == "no quorum"
    assert [frame.split(":")[1].rsplit(".", 1)[-1] for frame in shown["frames"]] == [
        "test_an_exception_is_shown_with_frames_and_without_locals",
        "fail",
    ]
    assert "a local value" not in lines[0].decode()


@pytest.mark.parametrize(
    "error",
    [
        KeyError(FAMILY_NAME),
        ValueError(FAMILY_NAME),
        OSError(2, "No such file", f"{FAMILY_NAME}.json"),
        UnicodeEncodeError("ascii", FAMILY_NAME, 0, 1, "no"),
        ExceptionGroup("many", [KeyError(FAMILY_NAME)]),
    ],
)
def test_an_exception_that_may_quote_data_is_shown_without_its_message(error: Exception) -> None:
    wrapped = FatalError("stop")
    wrapped.__cause__ = error

    shown = json.dumps(render_exception(wrapped), ensure_ascii=False)

    assert FAMILY_NAME not in shown
    assert type(error).__name__ in shown


def test_the_system_s_reason_is_shown() -> None:
    assert render_exception(OSError(28, "No space left on device"))["message"] == (
        "No space left on device"
    )


def test_frames_and_causes_are_bounded() -> None:
    def descend(depth: int) -> None:
        if depth == 0:
            raise RuntimeError("deep")
        descend(depth - 1)

    error: Exception = RuntimeError("first")
    try:
        descend(2 * FRAMES_MAX)
    except RuntimeError as deep:
        error = deep
    for number in range(20):
        following = RuntimeError(str(number))
        following.__cause__, error = error, following

    shown = json.dumps(render_exception(error))

    assert shown.count('"type"') == 5
    assert len(render_exception(_raised(descend))["frames"] or ()) == FRAMES_MAX  # type: ignore[arg-type]


def test_a_line_too_long_is_cut_to_its_beginning() -> None:
    lines: list[bytes] = []
    logger = build_logger(lines.append, level="info")

    logger.info("long", **{f"x{number}": "a " * 300 for number in range(40)})

    assert len(lines[0]) < LINE_BYTES_MAX
    assert json.loads(lines[0])["event"] == "long"
    assert json.loads(lines[0])["cut"].endswith(" bytes")


def test_a_text_without_utf_8_still_makes_a_line() -> None:
    lines: list[bytes] = []

    build_logger(lines.append, level="info").info("odd \udcff", file="\udcff")

    assert json.loads(lines[0])["cut"] == "not UTF-8"


def test_libraries_lines_come_out_without_what_they_quote(root_logger: logging.Logger) -> None:
    lines: list[bytes] = []
    capture_standard_logging(build_logger(lines.append, level="info"), level="info")

    root_logger.getChild("library").warning("odd %s and %d", ValueError(FAMILY_NAME), 7)
    root_logger.error(ValueError(FAMILY_NAME))
    root_logger.log(35, "a level of its own")
    root_logger.info("chatter")

    first, second, third = (json.loads(line) for line in lines)
    assert (first["event"], first["arguments"]) == ("odd %s and %d", ["<ValueError>", 7])
    assert first["logger_name"] == "library"
    assert second["event"] == "ValueError"
    assert third["level"] == "warning"
    assert FAMILY_NAME not in b"".join(lines).decode()


def test_what_libraries_say_of_broken_connections_is_left_out(
    root_logger: logging.Logger,
) -> None:
    lines: list[bytes] = []
    capture_standard_logging(build_logger(lines.append, level="info"), level="info")

    for error in (BadStatusLine("junk"), asyncio.CancelledError(), ValueError("a fault")):
        root_logger.getChild("library").error("failed", exc_info=error)

    (line,) = lines
    assert json.loads(line)["exception"]["type"] == "builtins.ValueError"


@pytest.mark.usefixtures("root_logger")
def test_structlog_s_own_default_is_redacted_too(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[bytes] = []
    capture_standard_logging(build_logger(lines.append, level="info"), level="info")

    structlog.get_logger().error("failed", patient=FAMILY_NAME, exc_info=KeyError(FAMILY_NAME))
    structlog.get_logger().debug("chatter")

    (line,) = lines
    assert (json.loads(line)["level"], json.loads(line)["event"]) == ("error", "failed")
    assert json.loads(line)["exception"]["type"] == "builtins.KeyError"
    assert FAMILY_NAME not in line.decode() + capsys.readouterr().out


def test_an_exception_lost_in_a_task_is_written_without_its_repr(
    root_logger: logging.Logger,
) -> None:
    lines: list[bytes] = []
    capture_standard_logging(build_logger(lines.append, level="info"), level="info")

    async def lose() -> None:
        async def fail() -> None:
            raise KeyError(FAMILY_NAME)

        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        del task

    asyncio.run(lose())

    assert root_logger.handlers
    (line,) = lines
    assert json.loads(line)["event"] == "Task exception was never retrieved"
    assert json.loads(line)["exception"]["type"] == "builtins.KeyError"
    assert FAMILY_NAME not in line.decode()


def _raised(descend: object) -> BaseException:
    assert callable(descend)
    try:
        descend(2 * FRAMES_MAX)
    except RuntimeError as error:
        return error
    raise AssertionError
