"""``python -m voicestream`` is the command ``voicestream``."""

from voicestream.cli.main import app

app()
