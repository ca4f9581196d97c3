"""The dashboard, in a real browser, fed through a real broker."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import chromium
import msgspec
import pytest
import pytest_asyncio
from gateway_helpers import (
    Running,
    create_all,
    frame,
    new_call_id,
    publish,
    receive,
    say_hello,
    serving,
    settings_for,
)
from gateway_records import call_metric, insight, result, routing, sentiment, summary, transcript

from voicestream import topics
from voicestream.embedded.broker import Broker
from voicestream.settings import Settings

pytestmark = pytest.mark.skipif(chromium.find() is None, reason="no chromium here: apt-get install chromium")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Those of a gateway whose broker knows of no other test's calls: the page shows all there are."""
    with Broker(tmp_path / "broker.log") as running:
        asyncio.run(create_all(running))
        yield settings_for(running)


@pytest_asyncio.fixture
async def page(tmp_path: Path) -> AsyncIterator[chromium.Page]:
    async with chromium.page(tmp_path) as opened:
        yield opened


async def test_a_call_is_watched_from_the_first_word_to_its_summary(gateway: Running, page: chromium.Page) -> None:
    await page.look(1280, 800)
    await page.open(gateway.http)
    await page.wait_for("document.querySelector('#link')?.dataset.state === 'live'")
    assert "voicestream call" in await page.text("#empty")
    assert await page.value("document.querySelector('#detail').hidden") is True

    call_id, name = new_call_id(), "<b>Mr</b> Poe"
    said = transcript(call_id, 0, "Acme is much cheaper than you")
    felt, found = sentiment(said, -0.61, "anger"), insight(said, "competitor", "Acme")
    async with gateway.raw(call_id) as socket:
        await say_hello(socket, customer=name)
        await page.wait_for("document.querySelector('#live .card')")
        for number in range(5):
            await socket.send(frame(number))
        await receive(socket)
        assert name in await page.text("#live .card")
        assert await page.text("#live-count") == "1"
        await page.wait_for("document.querySelector('#transcript').innerText.includes('Listening')")

        interim = msgspec.structs.replace(said, text="Acme is", final=False)
        unheard = transcript(call_id, 0, "uh", track="agent", final=False)
        publish(gateway.servers, (topics.interims, interim), (topics.interims, unheard))
        await page.wait_for("document.querySelector('.bubble.interim.customer')?.innerText.includes('Acme is')")
        await page.wait_for("document.querySelector('.bubble.interim.agent')")
        publish(gateway.servers, (topics.transcripts, said), (topics.sentiment, felt), (topics.insights, found))
        await page.wait_for("document.querySelector('.bubble:not(.interim) .tag')")
        await page.wait_for("!document.querySelector('.bubble.interim.customer')")
        publish(gateway.servers, (topics.interims, interim))  # late, of another topic
        publish(gateway.servers, (topics.transcripts, transcript(call_id, 1, "Oh", track="agent")))
        await page.wait_for("!document.querySelector('.bubble.interim') && document.querySelectorAll('.bubble')[1]")
        bubble = await page.text(".bubble.customer")
        assert "Acme is much cheaper than you" in bubble
        assert "anger −0.61" in bubble
        assert "competitor Acme" in bubble
        assert await page.text(".bubble mark") == "Acme"
        publish(gateway.servers, (topics.results, result(said, felt, found, latency_ms=640)))
        publish(gateway.servers, (topics.metrics, call_metric(call_id, 1, 0.25)), (topics.routing, routing(call_id)))
        await page.wait_for("document.querySelector('#alerts .alert')")
        assert "mood fell below" in await page.text("#alerts")
        await page.wait_for("document.querySelector('.legend')?.innerText.includes('25 %')")
        assert await page.value("document.querySelectorAll('.bubble').length") == 2
        assert "−0.61" in await page.text(".moods")
        await page.wait_for("document.querySelector('#figure-end-to-end').innerText.startsWith('640 / 640')")
        await page.wait_for("document.querySelector('#figure-calls').innerText === '1'")
        await page.wait_for("document.querySelector('#figure-ingest').innerText.endsWith('ms')")
        await socket.send('{"type": "end"}')
        publish(gateway.servers, (topics.results, summary(call_id, "He will think about it.")))
        await page.wait_for("document.querySelector('#ended .card')")
    await page.wait_for("document.querySelector('#summary')?.innerText.includes('won')")
    assert "He will think about it." in await page.text("#ended .card")
    assert await page.text("#live-count") == "0"
    assert await page.text("#selected-time") == "1:00"

    origins = await page.value(
        "[...new Set(performance.getEntriesByType('resource').map(r => new URL(r.name).origin))]"
    )
    assert origins == [gateway.http]
    assert page.faults == []


async def test_a_page_that_is_opened_late_shows_what_was_before_and_any_call_can_be_chosen(
    gateway: Running, page: chromium.Page
) -> None:
    first, second = new_call_id(), new_call_id()
    async with gateway.feed() as feed:
        await receive(feed)
        for call_id, text in ((first, "one is here"), (second, "two is here")):
            for number in range(5):
                publish(gateway.servers, (topics.transcripts, transcript(call_id, number, f"{text} {number}")))
        for _ in range(10):
            await receive(feed)
    await page.look(390, 844, dark=True)
    await page.open(gateway.http)
    for call_id, text in ((first, "one is here"), (second, "two is here")):
        await page.wait_for(f"document.querySelector('[data-call=\"{call_id}\"]')")
        await page.value(f"document.querySelector('[data-call=\"{call_id}\"]').click()")
        await page.wait_for(f"document.querySelector('#transcript').innerText.includes('{text} 0')")
        assert await page.value("document.querySelectorAll('.bubble').length") == 5
    assert await page.value("document.documentElement.scrollWidth") == 390
    assert page.faults == []


async def test_the_page_says_that_a_key_is_needed_and_takes_it(settings: Settings, page: chromium.Page) -> None:
    async with serving(settings.model_copy(update={"api_keys": "sesame"})) as locked:
        await page.open(locked.http)
        await page.wait_for("document.querySelector('#link')?.innerText.includes('/?api_key=')")
        await page.open(f"{locked.http}/?api_key=sesame")
        await page.wait_for("document.querySelector('#link')?.dataset.state === 'live'")
