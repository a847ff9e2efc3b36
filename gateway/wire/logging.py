"""structlog, configured once a process, with the one redaction processor.

Entries go to standard error as one JSON object a line, or as readable lines
for a person. Times are UTC. The redaction stands last before the renderer, so
that nothing added on the way escapes it; the severity is written as
``severity`` because ``level`` is the name of a person's colour.

An exception is logged by its type and its frames. Its text is not: it may
quote what a traveller presented. Locals are never shown.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from gateway.wire.redaction import redact_text, redaction_processor

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from types import TracebackType

    from structlog.typing import Processor

_MAX_FRAMES = 24
"""Frames kept of a traceback: enough for the deepest handler, bounded for recursion."""


class _Stream:
    """A log stream whose reader may leave.

    A supervisor that closes the pipe must not take the process down with it, and a
    process that is told to stop still has to drain.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def configure_logging(*, json_lines: bool = True, verbose: bool = False) -> None:
    """Configure structlog and the standard library's root logger.

    Args:
        json_lines: one JSON object a line; False: readable text.
        verbose: include debug entries.
    """
    stream: Any = _Stream(sys.stderr)
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _exceptions_without_text,
            redaction_processor,
            _severity,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_RedactingFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def frames_of(trace: TracebackType | None) -> list[str]:
    """Return ``file:line function`` of each frame, innermost last, without locals or text."""
    return [
        f"{_short_path(frame.filename)}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)[-_MAX_FRAMES:]
    ]


def _short_path(path: str) -> str:
    # The last two parts name the module; the rest names somebody's machine.
    return "/".join(path.replace("\\", "/").split("/")[-2:])


def _severity(
    logger: object, method_name: str, event_dict: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    del logger
    event_dict["severity"] = {"warn": "warning", "exception": "error"}.get(method_name, method_name)
    return event_dict


def _exceptions_without_text(
    logger: object, method_name: str, event_dict: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    del logger, method_name
    info = event_dict.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info if isinstance(info, BaseException) else info[1] if info else None
    if error is not None:
        event_dict["exception_type"] = type(error).__qualname__
        event_dict["frames"] = frames_of(error.__traceback__)
    return event_dict


class _RedactingFormatter(logging.Formatter):
    """Formats foreign records: libraries log too, and quote what they choke on."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{record.levelname.lower()} {record.name}: {redact_text(record.getMessage())}"
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            frames = " < ".join(reversed(frames_of(error.__traceback__)))
            line += f" [{type(error).__qualname__}: {frames}]"
        return line
