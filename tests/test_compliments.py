"""The example of the README, tested without a broker."""

from examples.agents.compliments import stage
from voicestream import topics
from voicestream.testing import TopologyTestDriver, transcript


def test_thanks_is_a_compliment():
    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(transcript(text="thank you so much", track="customer"))
        assert driver.topic(topics.insights).read().kind == "compliment"


def test_thanks_of_the_agent_is_none():
    with TopologyTestDriver(stage) as driver:
        driver.topic(topics.transcripts).send(transcript(text="thank you for calling", track="agent"))
        assert driver.topic(topics.insights).read_all() == []
