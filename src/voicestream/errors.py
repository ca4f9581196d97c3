"""Every error that voicestream raises on purpose."""


class VoicestreamError(Exception):
    """Base of them all: what went wrong, where, and what to do about it."""


class AudioFormatError(VoicestreamError, ValueError):
    """Audio, or the description of audio, that we do not speak."""


class AudioFileError(VoicestreamError):
    """A file that holds no audio we can use."""


class WeightsError(VoicestreamError):
    """Model weights that are missing or damaged."""


class EmbeddedError(VoicestreamError):
    """A part of the embedded stack that did not start, or died."""


class BrokerError(VoicestreamError):
    """A Kafka broker that cannot be reached, or that has not what we need."""


class GatewayError(VoicestreamError):
    """The gateway cannot start, or does not go on with a connection."""


class ConfigFileError(VoicestreamError):
    """A file of settings that does not say what it should; ``problems`` has file, line and remedy of each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SttError(VoicestreamError):
    """An engine of speech to text that is missing, can't be loaded, or fails."""


class SttUnavailable(SttError):
    """An engine that can't be reached, is full or too slow now: the same clip may succeed later, or elsewhere."""


class SentimentError(VoicestreamError):
    """A model of text sentiment that is missing, can't be loaded, or fails."""


class SettingsError(VoicestreamError):
    """A setting that this process cannot work with."""


class ClickHouseError(VoicestreamError):
    """ClickHouse refused a statement or some data; ``code`` is its number for the error, where it gave one."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class ClickHouseUnavailableError(ClickHouseError):
    """ClickHouse can't be reached, lacks the tables or refuses us; the same statement may go through later."""


class ClickHouseDataError(ClickHouseError):
    """Rows that ClickHouse can't hold, however often they are sent."""


class MigrationError(VoicestreamError):
    """A migration that was changed after a database had it."""


class PostgresError(VoicestreamError):
    """The setting of PostgreSQL makes no sense."""


class PostgresUnavailableError(PostgresError):
    """PostgreSQL can't be reached, lacks the tables or refuses us; the same statement may go through later."""


class PostgresDataError(PostgresError):
    """Rows that PostgreSQL can't hold, however often they are sent."""


class RedisError(VoicestreamError):
    """The setting of Redis makes no sense."""


class RedisUnavailableError(RedisError):
    """Redis can't be reached, or takes no writes at present; the same command may go through later."""


class RedisDataError(RedisError):
    """A record that Redis can't hold, however often it is sent."""


class CallError(VoicestreamError):
    """A call that could not be played to its end."""


class SchemaError(VoicestreamError):
    """An Avro schema that is none, or that breaks with what was released."""
