"""Telling systemd how far the daemon is: one datagram to $NOTIFY_SOCKET (sd_notify(3))."""

import socket
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"


def notify(state: str, *, notify_socket: str | None) -> bool:
    """Whether a service manager was told; False where there is none, or it does not listen.

    `notify_socket` is the daemon's $NOTIFY_SOCKET. Losing the message must not end a daemon that
    serves, so an error of the socket is only reported back.
    """
    if not notify_socket or notify_socket[0] not in "/@":
        return False
    address = notify_socket
    if address.startswith("@"):  # Linux' abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(0)
        try:
            channel.sendto(state.encode("utf-8"), address)
        except OSError:
            return False
    return True
