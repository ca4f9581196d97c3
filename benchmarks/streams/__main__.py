"""voicestream beside its peers on real Kafka: ``python -m benchmarks.streams`` from the root of the repository.

Writes its section of ``docs/benchmarks.md``; with ``--quick`` or ``--only`` it prints only.
"""

import argparse
import os
import time

from confluent_kafka import KafkaException

from benchmarks import page
from benchmarks.streams.kafka import Kafka
from benchmarks.streams.measure import FailedError, Figures, Size, measure
from benchmarks.streams.peers import PEERS, Installed, NotAvailableError, Peer, Variant
from benchmarks.streams.report import TITLE, Row, line, section
from benchmarks.streams.work import JOBS, Phase
from tests.kafka.broker import POM, KafkaBroker, reason_not_available

COMMAND = "make bench-streams"
FULL, QUICK = Size(scale=1.0, rate_s=10), Size(scale=0.1, rate_s=3)
BROKER = {"file.delete.delay.ms": "1000"}  # hundreds of megabytes are written for each row


def main() -> None:
    """Measure every peer at every job, one after the other on one broker."""
    options = arguments()
    if reason := reason_not_available():
        print(f"The library beside its peers: skipped, as it is measured on Kafka. {reason}")
        return
    size, load, started = QUICK if options.quick else FULL, os.getloadavg()[0], time.monotonic()
    versions: list[tuple[Peer, str]] = []
    rows: list[Row] = []
    with KafkaBroker(BROKER) as broker:
        kafka = Kafka(broker.bootstrap)
        warm_up(kafka)
        for peer in PEERS:
            variants = [v for v in peer.variants if v.job in options.job] if peer.key in options.only else []
            found = available(peer) if variants else ""
            if variants:
                versions.append((peer, found.versions if isinstance(found, Installed) else f"not measured: {found}"))
            for variant in variants:
                row = Row(peer, variant, figures(kafka, peer, variant, found, size))
                print(line(row), flush=True)
                rows.append(row)
    print(f"{time.monotonic() - started:.0f} s")
    if options.write:
        page.put(TITLE, section(COMMAND, kafka_version(), size, load, versions, rows))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    peers, jobs = [peer.key for peer in PEERS], list(JOBS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the events: to see that all of it works")
    parser.add_argument("--only", action="append", choices=peers, help="this peer; may be given more than once")
    parser.add_argument("--job", action="append", choices=jobs, help="this job; may be given more than once")
    options = parser.parse_args()
    options.write = not (options.quick or options.only or options.job)
    options.only, options.job = options.only or peers, options.job or jobs
    return options


def warm_up(kafka: Kafka) -> None:
    """Let the broker's virtual machine compile what all of them need: the first peer is not to pay for it."""
    kafka.create("warm-up")
    kafka.fill("warm-up", Phase(0, 0, 100_000).frames())
    kafka.delete_all()


def available(peer: Peer) -> Installed | str:
    """The peer installed, or why it cannot be."""
    try:
        return peer.install()
    except NotAvailableError as error:
        return str(error)


def figures(kafka: Kafka, peer: Peer, variant: Variant, installed: Installed | str, size: Size) -> Figures | str:
    """What was measured, or why nothing was."""
    if isinstance(installed, str):
        return installed
    try:
        return measure(kafka, peer, installed, variant, size)
    except (FailedError, KafkaException, TimeoutError) as error:
        print(f"{peer.title}, {variant.key}: {error}", flush=True)
        return str(error).splitlines()[0].partition(". From its log")[0]


def kafka_version() -> str:
    """The version of the broker, from what its jars were fetched by."""
    return POM.read_text().partition("kafka_2.13</artifactId>")[2].partition("<version>")[2].partition("<")[0]


if __name__ == "__main__":
    main()
