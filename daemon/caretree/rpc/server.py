"""The client port's server, put together."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection

from caretree.config.values import Config
from caretree.model.limits import CLIENT_BATCH_BYTES_MAX, KIB
from caretree.node.admission import Admission
from caretree.node.clock import utc_now
from caretree.node.deny_list import DenyList
from caretree.node.identity import server_credentials
from caretree.proto.api.v1 import (
    access_pb2,
    access_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    proofs_pb2,
    proofs_pb2_grpc,
    records_pb2,
    records_pb2_grpc,
)
from caretree.rpc.access import AccessService
from caretree.rpc.guard import CALLS_MAX, Guard
from caretree.rpc.health import HealthService
from caretree.rpc.interceptor import EdgeInterceptor
from caretree.rpc.operations import OperationService
from caretree.rpc.page_tokens import PageTokens
from caretree.rpc.ports import CallRecorder, Peer
from caretree.rpc.proofs import ProofService
from caretree.rpc.records import RecordService
from caretree.telemetry.health import Health, HealthState
from caretree.telemetry.logs import Logger

# What a batch's own fields add to its records; also what lets a batch one byte too large arrive, so
# that it is refused with a reason.
FRAMING_BYTES_MAX: Final = 64 * KIB
MESSAGE_BYTES_MAX: Final = CLIENT_BATCH_BYTES_MAX + FRAMING_BYTES_MAX
METADATA_BYTES_MAX: Final = 8 * KIB
# More than one principal may have admitted, so that the guard refuses first, with a reason and a
# delay. At gRPC's own limit a stream is refused while the one it takes over from still ends.
STREAMS_PER_CONNECTION_MAX: Final = 256
# The bound of last resort, beyond that of admitted calls: gRPC refuses these without a reason.
CALLS_UNADMITTED_MAX: Final = 1024
# A connection takes a descriptor, of which the unit allows 4,096; LevelDB needs up to 1,000.
CONNECTIONS_MAX: Final = 1024
HANDSHAKE_MS_MAX: Final = 10_000
CONNECTION_AGE_MS_MAX: Final = 600_000
CONNECTION_GRACE_MS: Final = 10_000
PING_INTERVAL_MS_MIN: Final = 10_000
PING_STRIKES_MAX: Final = 2
PAGE_TOKEN_KEY_BYTES: Final = 32

SERVER_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a second daemon on this port shall fail, not share it
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS_MAX),
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MS_MAX),
    ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_MS),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MS_MIN),
    ("grpc.http2.max_ping_strikes", PING_STRIKES_MAX),
)

SERVICES: Final = tuple(
    str(file.DESCRIPTOR.services_by_name[name].full_name)
    for file, name in (
        (records_pb2, "RecordService"),
        (access_pb2, "AccessService"),
        (proofs_pb2, "ProofService"),
        (operations_pb2, "OperationService"),
    )
)
_HEALTH: Final = str(health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)


def build_server(
    peer: Peer,
    config: Config,
    *,
    metrics: CallRecorder,
    health: Health,
    deny_list: DenyList,
    version: str,
    log: Logger,
    now: Callable[[], datetime] = utc_now,
) -> grpc.aio.Server:
    """A server on the client port, bound and not yet started.

    Raises:
        OSError: the port is taken, or the certificate cannot be read.
        ValueError: certificate and key do not belong together.
    """
    guard = Guard(
        admission=Admission(peer.genesis, deny_list, now=now),
        member=config.peer.member,
        principals=config.principals,
        stopping=lambda: health.report.state is HealthState.STOPPING,
        refused=metrics.certificate_refused,
    )
    server = grpc.aio.server(
        interceptors=[EdgeInterceptor(guard, metrics, log)],
        options=SERVER_OPTIONS,
        maximum_concurrent_rpcs=CALLS_MAX + CALLS_UNADMITTED_MAX,
    )
    _add_services(server, peer, health, version=version)
    if config.api.reflection:
        names = (*SERVICES, _HEALTH, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    credentials = server_credentials(config.tls, peer.genesis, metrics=metrics, log=log)
    try:
        server.add_secure_port(config.listen.client, credentials)
    except RuntimeError as error:
        raise OSError(f"listen.client: cannot listen on {config.listen.client}") from error
    return server


def _add_services(server: grpc.aio.Server, peer: Peer, health: Health, *, version: str) -> None:
    tokens = PageTokens(secrets.token_bytes(PAGE_TOKEN_KEY_BYTES))
    records_pb2_grpc.add_RecordServiceServicer_to_server(RecordService(peer, tokens), server)
    access_pb2_grpc.add_AccessServiceServicer_to_server(AccessService(peer, tokens), server)
    proofs_pb2_grpc.add_ProofServiceServicer_to_server(ProofService(peer), server)
    operations_pb2_grpc.add_OperationServiceServicer_to_server(
        OperationService(peer, version=version), server
    )
    health_pb2_grpc.add_HealthServicer_to_server(HealthService(health, SERVICES), server)
