"""The names under which a daemon's series are scraped."""

import re
from typing import Final

from caretree.model.ids import MemberId, PeerId
from caretree.telemetry.metrics import Metrics
from prometheus_client import CollectorRegistry

_METRIC: Final = re.compile(r"\b(?:caretree|grpc_server|process)_[a-z_]+\b")


def scraped_names() -> frozenset[str]:
    """Every series name of a daemon in which everything has happened once."""
    metrics = Metrics(CollectorRegistry())
    metrics.describe_build(version="1", ledger_version=1)
    metrics.peer_reachable(PeerId(1), MemberId("town"), reachable=True)
    metrics.grpc_started("unary", "s", "m")
    metrics.grpc_handled("unary", "s", "m", "OK", 0.1)
    families = metrics.registry.collect()
    return frozenset(sample.name for family in families for sample in family.samples)


def names_in(expression: str) -> frozenset[str]:
    """The series that an expression asks for."""
    return frozenset(_METRIC.findall(expression))
