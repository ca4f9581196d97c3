"""A bare loop with aiokafka: what was fetched at once is worked on and sent; committed once a second."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from records import BOOTSTRAP, FRAMES, NAME, RESULTS
from work_by_hand import TOPICS_READ, job


async def main() -> None:
    work = job()
    consumer = AIOKafkaConsumer(
        FRAMES,
        *TOPICS_READ,
        bootstrap_servers=BOOTSTRAP,
        group_id=NAME,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=45_000,
    )
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all")
    await consumer.start()
    await producer.start()
    commit_at, taken = time.monotonic() + 1, False
    while True:
        fetched = await consumer.getmany(timeout_ms=100, max_records=500)
        sent = []
        for messages in fetched.values():
            for message in messages:
                value = work(message.topic, message.value)
                if value is not None:
                    sent.append(await producer.send(RESULTS, value, key=message.key))
        taken = taken or bool(fetched)
        if sent:
            await asyncio.gather(*sent)
        if time.monotonic() >= commit_at:
            if taken:
                await consumer.commit()
            commit_at, taken = time.monotonic() + 1, False


if __name__ == "__main__":
    asyncio.run(main())
