"""The commands of `caretree`, and the one place where an error becomes a line and a status."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

import typer

from caretree.cli import (
    access,
    ceremony,
    imports,
    membership,
    operations,
    principals,
    records,
    recovery,
    verifying,
)
from caretree.cli.errors import CommandError
from caretree.cli.examples import COMMANDS
from caretree.cli.failures import advice, reason_of, why
from caretree.cli.output import show_error
from caretree.client.errors import CallFailedError
from caretree.model.errors import CaretreeError, FatalError, UnavailableError

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

_CHECK_PATHS: Final = "Check the path, its mode, and the room on the disk."
_SEE_HELP: Final = "See `caretree --help`, or --help of the command."


def run(arguments: Sequence[str]) -> int:
    """The exit status of the command that the arguments name, once it has run."""
    as_json = "--json" in arguments
    try:
        status = build_app()(args=list(arguments), prog_name="caretree", standalone_mode=False)
    except typer.TyperException as error:
        show_error(
            error.format_message(), _SEE_HELP, reason="USAGE", as_json=as_json, stream=sys.stderr
        )
        return USAGE
    except CaretreeError as error:
        show_error(
            why(error) if isinstance(error, CallFailedError) else error.message,
            _next_step(error),
            reason=_reason(error),
            as_json=as_json,
            stream=sys.stderr,
        )
        return FAILED
    except BrokenPipeError:
        # Who read the answer has gone; Python must not complain about that at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        message = f"{error.filename or 'the system'}: {error.strerror}"
        show_error(message, _CHECK_PATHS, reason="SYSTEM", as_json=as_json, stream=sys.stderr)
        return FAILED
    except (typer.Abort, KeyboardInterrupt):
        show_error("stopped", "", reason="STOPPED", as_json=as_json, stream=sys.stderr)
        return INTERRUPTED
    return status if isinstance(status, int) else DONE


def build_app() -> typer.Typer:
    """All commands, each with the help that `examples` has for it."""
    app = _group("One tamper-evident history of every patient, kept together by a consortium.")
    consortium = _group("Found a consortium: what one does for all.")
    member = _group("A member's keys, certificates and founding.")
    _add(consortium, "consortium create", ceremony.create)
    _add(consortium, "consortium found", ceremony.found_consortium)
    _add(member, "member init", membership.init)
    _add(member, "member sign", membership.sign)
    _add(member, "member import", membership.import_genesis)
    _add(member, "member principal", principals.principal)
    _add(member, "member renew", principals.renew)
    _add(member, "member restore", recovery.restore)
    _add(member, "member open-records", recovery.open_records)
    app.add_typer(consortium, name="consortium")
    app.add_typer(member, name="member")
    _add(app, "policy", ceremony.policy)
    _add(app, "serve", serve)
    _add(app, "append", records.append)
    _add(app, "import", imports.import_records)
    _add(app, "history", records.history)
    _add(app, "get", records.get)
    _add(app, "grant", access.grant)
    _add(app, "grants", access.grants)
    _add(app, "revoke", access.revoke)
    _add(app, "audit", access.audit)
    _add(app, "receipt", operations.receipt)
    _add(app, "verify", verifying.verify)
    _add(app, "status", operations.status)
    _add(app, "transfer-leadership", operations.transfer_leadership)
    return app


def serve(*, config: str = typer.Option(help="The daemon's configuration file.")) -> None:
    """Never called: `main` starts the daemon before anything here is loaded."""
    raise CommandError(f"cannot serve {config} from here", next_step="Run `caretree serve`.")


def _group(what: str) -> typer.Typer:
    return typer.Typer(
        help=what,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def _add(group: typer.Typer, path: str, command: Callable[..., None]) -> None:
    name = path.rpartition(" ")[2]
    group.command(name, help=COMMANDS[path].text())(command)


def _next_step(error: CaretreeError) -> str:
    match error:
        case CommandError():
            return error.next_step
        case CallFailedError():
            return advice(error)
        case UnavailableError():
            return f"Try again in {max(1, error.retry_after_ms // 1000)} s."
        case FatalError():
            return "Nothing is tried again by itself; look at what the message names."
        case _:
            return ""


def _reason(error: CaretreeError) -> str:
    if isinstance(error, CallFailedError):
        return reason_of(error)
    return type(error).__name__.removesuffix("Error").upper()
