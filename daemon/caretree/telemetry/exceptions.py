"""An exception as a log line's value: type, message where it is safe, frames without locals."""

from collections.abc import Iterator
from types import TracebackType
from typing import Final

from caretree.model.errors import CaretreeError
from caretree.telemetry.redaction import LogValue, redact_text

FRAMES_MAX: Final = 24
LINKS_MAX: Final = 4

# Messages of these are written by programmers about programmes. Others (ValueError, KeyError,
# a parser's own) tend to quote the data that they choked on, and are withheld.
_SPEAKING: Final = (
    AssertionError,
    AttributeError,
    CaretreeError,  # carries no identifier, key or content: see model.errors
    ImportError,
    MemoryError,
    NameError,
    RuntimeError,
    TimeoutError,
    TypeError,
)


def render_exception(error: BaseException, *, depth: int = 0) -> dict[str, LogValue]:
    """The exception, and what caused it, as values for a log line."""
    rendered: dict[str, LogValue] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": _message(error),
        "frames": list(_frames(error.__traceback__)),
    }
    if depth < LINKS_MAX:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None:
            rendered["cause"] = render_exception(cause, depth=depth + 1)
        if isinstance(error, BaseExceptionGroup):
            rendered["group"] = [
                render_exception(inner, depth=depth + 1) for inner in error.exceptions[:LINKS_MAX]
            ]
    return rendered


def _message(error: BaseException) -> str:
    if isinstance(error, OSError):
        # Its text names a file, and a file may bear a patient's name.
        return redact_text(error.strerror or "")
    if isinstance(error, BaseExceptionGroup):
        return redact_text(error.message)
    return redact_text(str(error)) if isinstance(error, _SPEAKING) else "[withheld]"


def _frames(traceback: TracebackType | None) -> Iterator[str]:
    """module:function:line, innermost last, the innermost ones where there are too many."""
    frames: list[str] = []
    while traceback is not None:
        frame = traceback.tb_frame
        module = frame.f_globals.get("__name__", "?")
        frames.append(f"{module}:{frame.f_code.co_qualname}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return iter(frames[-FRAMES_MAX:])
