"""What is measured now and then: the disk, and how long the certificate lasts."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

from cryptography import x509

from caretree.telemetry.metrics import Metrics

MEASURE_S: Final = 15.0


async def keep_measuring(metrics: Metrics, *, directory: Path, certificate: Path) -> None:
    """Measure for ever."""
    while True:
        await asyncio.to_thread(_measure, metrics, directory, certificate)
        await asyncio.sleep(MEASURE_S)


def _measure(metrics: Metrics, directory: Path, certificate: Path) -> None:
    usage = shutil.disk_usage(directory)
    metrics.storage_measured(
        directory_bytes=_directory_bytes(directory),
        free_bytes=usage.free,
        capacity_bytes=usage.total,
    )
    try:
        held = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return  # it is being replaced; the next look finds it
    metrics.certificate_expires(timestamp_s=held.not_valid_after_utc.timestamp())


def _directory_bytes(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # LevelDB removed it meanwhile
    return total
