"""The Native format for clients of a newer protocol, by a decoder that is not ours."""

import httpx
import pytest
from clickhouse_connect.driver.query import QueryContext
from clickhouse_connect.driver.transform import NativeTransform
from clickhouse_connect.driverc.buffer import ResponseBuffer
from clickhouse_process import Server

from voicestream.embedded.native_format import with_revision

QUERY = """
SELECT
    number AS n, toString(number) AS text, toFixedString('ab', 4) AS fixed, if(number % 3 = 0, NULL, number) AS maybe,
    toLowCardinality(toString(number % 7)) AS low,
    CAST(if(number % 2 = 0, 'x', NULL), 'LowCardinality(Nullable(String))') AS low_maybe,
    range(number % 4) AS list, arrayMap(x -> toLowCardinality(toString(x)), range(number % 3)) AS low_list,
    CAST(map('a', number), 'Map(LowCardinality(String), UInt64)') AS pairs, (number, 'x', 1.5) AS three,
    CAST((1, 'y'), 'Tuple(a UInt8, `b c` String)') AS named, toDateTime64(number, 3, 'UTC') AS at,
    toDate('2026-01-01') AS day, toDecimal64(1.25, 2) AS money, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS id,
    CAST('b', 'Enum8(\\'a, (\\' = 1, \\'b\\' = 2)') AS choice, true AS yes, [] AS nothing, NULL AS null,
    [map('k', [NULL, 1])] AS deep
FROM numbers({rows}) SETTINGS max_block_size = 1000
"""


class _Source:
    def __init__(self, data: bytes) -> None:
        self.gen = iter([data])
        self.last_message = None
        self.exception_tag = None

    def close(self) -> None:
        pass


def decode(data: bytes, block_info: bool) -> list[tuple[object, ...]]:
    context = QueryContext()
    context.block_info = block_info
    return NativeTransform.parse_response(ResponseBuffer(_Source(data)), context).result_set


@pytest.mark.parametrize("rows", [1, 7, 2_500])
def test_every_block_gets_its_head_and_the_values_stay(server: Server, rows: int) -> None:
    url = f"http://127.0.0.1:{server.port}/?default_format=Native"
    plain = httpx.post(url, content=QUERY.format(rows=rows)).content
    before = decode(plain, block_info=False)
    assert len(before) == rows
    assert decode(with_revision(plain, 54405), block_info=True) == before
    # The newer form has one byte more a column and block; what it has less of is not lost.
    newer = with_revision(plain, 54460)
    blocks = len(with_revision(plain, 54405)) - len(plain)
    assert (len(newer) - len(plain) - blocks) == blocks // 8 * 20


def test_a_client_like_grafanas_gets_the_newer_form(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/?default_format=Native&client_protocol_version=54460"
    answer = httpx.post(url, content="SELECT 1 AS a").content
    assert answer == b"\x01\x00\x02\xff\xff\xff\xff\x00" + b"\x01\x01\x01a\x05UInt8\x00\x01"
    refused = httpx.post(url, content="SELECT 1::Dynamic AS a")
    assert refused.headers["X-ClickHouse-Exception-Code"] == "48"
    assert "Dynamic" in refused.text
