"""Stages of voicestream, one module each: ``faust -A agents.NAME worker``."""

from pkgutil import extend_path

# Agents of one's own, in a folder `agents` of the working directory, are found beside ours.
__path__ = extend_path(__path__, __name__)
