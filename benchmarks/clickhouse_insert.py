"""Rows a second that the ClickHouse sink writes: ``python benchmarks/clickhouse_insert.py [ADDRESS]``.

Without an address it starts the embedded server on a new folder, and tells what that takes as well.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from voicestream.embedded.child import Child
from voicestream.records import UtteranceResult
from voicestream.sinks.clickhouse import ClickHouse
from voicestream.sinks.clickhouse_sink import ClickHouseSink
from voicestream.sinks.migrate import upgrade

SECONDS = 4.0


def utterance(number: int) -> UtteranceResult:
    return UtteranceResult(
        utterance_id=f"call-{number // 40}/customer/{number % 40}", call_id=f"call-{number // 40}", track="customer",
        number=number % 40, start_ms=number * 10, end_ms=number * 10 + 3_000, at_ms=1_700_000_000_000 + number,
        queue="sales", agent="Ana", text="I saw your offer and I think that it is a little too expensive for us.",
        words=15, confidence=0.93, language="en", polarity=-0.4, label="negative", emotion="anger",
        emotions={"anger": 0.7, "neutral": 0.3}, stt_ms=210.0, sentiment_ms=9.0, latency_ms=400,
    )  # fmt: skip


async def measure(clickhouse: ClickHouse) -> None:
    sink = ClickHouseSink(clickhouse)
    number = 0
    for size in (1_000, 10, 1):
        batches = 0
        spent = 0.0
        while spent < SECONDS:
            batch = [utterance(number + index) for index in range(size)]
            number += size
            started = time.perf_counter()
            await sink.write(batch)
            spent += time.perf_counter() - started
            batches += 1
        rate = batches * size / spent
        print(f"batches of {size:>5}: {rate:>8,.0f} rows/s, {1000 * spent / batches:.1f} ms a batch")
    rows = clickhouse.query("SELECT count() FROM v_utterances").rows[0][0]
    print(f"rows there: {rows} of {number}")


def main() -> None:
    if len(sys.argv) > 1:
        clickhouse = ClickHouse(sys.argv[1])
        upgrade(clickhouse)
        asyncio.run(measure(clickhouse))
        return
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder, "port")
        module = "voicestream.embedded.clickhouse_server"
        options = ["--path", f"{folder}/data", "--port", "0", "--port-file", str(port_file)]
        server = Child("ClickHouse", [sys.executable, "-m", module, *options], Path(folder, "log"))
        started = time.perf_counter()
        server.start()
        try:
            server.wait_ready(port_file.exists, 60)
            print(f"server answers after {time.perf_counter() - started:.1f} s, {memory_mib(server.pid)} MiB resident")
            clickhouse = ClickHouse(f"clickhouse://127.0.0.1:{port_file.read_text().strip()}/bench")
            started = time.perf_counter()
            upgrade(clickhouse)
            print(f"migrations took {time.perf_counter() - started:.2f} s")
            asyncio.run(measure(clickhouse))
            print(f"server at the end: {memory_mib(server.pid)} MiB resident")
        finally:
            started = time.perf_counter()
            server.stop()
            print(f"server ended after {time.perf_counter() - started:.1f} s")


def memory_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


if __name__ == "__main__":
    main()
