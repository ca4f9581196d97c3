"""Workers of one machine do not get in each other's way."""

from voicestream import Stage, topics
from voicestream.records import Transcript


def test_a_worker_opens_no_port_whatever_the_command_line_says_by_default():
    stage = Stage("listeners")

    @stage.agent(topics.transcripts)
    async def listen(said: Transcript) -> None: ...

    app = stage.app()
    app.conf.web_enabled = True  # as `faust worker` does without --without-web
    app.conf.Worker(app)
    assert not app.conf.web_enabled
