"""A bare loop with confluent_kafka: poll, work, produce; once a second everything is flushed and committed."""

import time

from confluent_kafka import Consumer, Producer
from records import BOOTSTRAP, FRAMES, NAME, RESULTS
from work_by_hand import TOPICS_READ, job


def main() -> None:
    work = job()
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": NAME,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "partitioner": "murmur2_random"})
    consumer.subscribe([FRAMES, *TOPICS_READ])
    commit_at, taken = time.monotonic() + 1, False
    while True:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            taken = True
            value = work(message.topic(), message.value())
            if value is not None:
                send(producer, message.key(), value)
        if time.monotonic() >= commit_at:
            if taken:
                producer.flush()
                consumer.commit(asynchronous=False)
            commit_at, taken = time.monotonic() + 1, False


def send(producer: Producer, key: bytes, value: bytes) -> None:
    while True:
        try:
            producer.produce(RESULTS, key=key, value=value)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


if __name__ == "__main__":
    main()
