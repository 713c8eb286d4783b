"""JSON lines for the journal: one logger per daemon, injected, with redaction as its last word."""

import logging
import sys
from collections.abc import Callable
from typing import Final

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger
from typing_extensions import override

from caretree.telemetry.exceptions import render_exception
from caretree.telemetry.redaction import LogValue, redact, redact_field, redact_text

LINE_BYTES_MAX: Final = 16 * 1024

Logger = FilteringBoundLogger
LineSink = Callable[[bytes], None]

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
# By these gRPC and aiohttp tell that a connection broke, or never spoke HTTP. Strangers cause them
# as often as they like, and no operator can do anything about them.
_OF_CONNECTIONS: Final = frozenset({"ExecuteBatchError", "CancelledError", "BadHttpMessage"})
_FIRST_KEYS: Final = ("time", "level", "event")


def build_logger(sink: LineSink, *, level: str) -> Logger:
    """A logger that hands JSON lines, from this level on, to `sink`; see `writer.LineWriter`."""
    logger: Logger = structlog.wrap_logger(
        _Sink(sink),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _render_exception,
            _redact,
            _render_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        context_class=dict,
        cache_logger_on_first_use=False,
    ).bind()
    return logger


def capture_standard_logging(logger: Logger, *, level: str) -> None:
    """Send what libraries log, asyncio's lost exceptions among it, through `logger`.

    Libraries below WARNING stay silent: they say nothing there that an operator could use. What is
    logged through structlog's own default goes the same way, since that would print unredacted.
    This changes the process' global loggers, so only whoever owns the process may call it.
    """
    handler = _Handler(logger)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, _LEVELS[level]))
    logging.raiseExceptions = False

    def hand_on(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        logger.log(_LEVELS.get(method, logging.ERROR), event.pop("event"), **event)
        raise structlog.DropEvent

    structlog.configure(processors=[hand_on], cache_logger_on_first_use=False)


class _Sink:
    """What structlog calls a logger: takes the rendered line, whatever the level."""

    __slots__ = ("_sink",)

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink

    def msg(self, line: bytes) -> None:
        self._sink(line)

    debug = info = warning = error = critical = exception = msg


class _Handler(logging.Handler):
    """Hands the standard library's records on."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[0] if record.exc_info else None
        return error is None or _OF_CONNECTIONS.isdisjoint(kind.__name__ for kind in error.mro())

    @override
    def emit(self, record: logging.LogRecord) -> None:
        # Only the constant part of a message is taken as it is. Its first line, because asyncio
        # lets the repr of a task, and with it that of an exception, follow on the next ones.
        constant = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        self._logger.log(
            _level_below(record.levelno),
            constant.partition("\n")[0],
            logger_name=record.name,
            arguments=record.args or (),
            exc_info=record.exc_info[1] if record.exc_info else None,
        )


def _level_below(level: int) -> int:
    """The named level for a number that a library may have made up."""
    return max((named for named in _LEVELS.values() if named <= level), default=logging.DEBUG)


def _render_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        event["exception"] = _Rendered(render_exception(found))
    return event


class _Rendered(dict[str, LogValue]):
    """Fields that are redacted already."""

    __slots__ = ()


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    fields: EventDict = {key: redact(event.pop(key)) for key in _FIRST_KEYS}
    for key, value in event.items():
        shown = value if isinstance(value, _Rendered) else redact_field(key, value)
        fields[redact_text(key)] = shown
    return fields


def _render_line(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    line = _to_json(event)
    if len(line) > LINE_BYTES_MAX:
        kept = {key: event[key] for key in _FIRST_KEYS}
        return _to_json({**kept, "cut": f"{len(line)} bytes"})
    return line


def _to_json(fields: EventDict) -> bytes:
    # A lone surrogate out of somebody's file name has no UTF-8.
    try:
        return orjson.dumps(fields)
    except orjson.JSONEncodeError:
        kept = {key: ascii(fields[key]) for key in _FIRST_KEYS}
        return orjson.dumps({**kept, "cut": "not UTF-8"})
