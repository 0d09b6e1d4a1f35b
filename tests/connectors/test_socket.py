# SPDX-License-Identifier: Apache-2.0
"""Text over a loopback connection."""

from __future__ import annotations

import socket

import pytest

from flinkcore.columnar.row import Row
from flinkcore.connectors.socket import SocketTextSource
from flinkcore.errors import ConfigurationError, ConnectorError, DataError

WAIT_MS = 5000  # the most a read waits for bytes that were sent already


class Server:
    """Listens on a free port of the loopback interface."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def accept(self):
        return self.listener.accept()[0]


@pytest.fixture
def server():
    server = Server()
    yield server
    server.listener.close()


@pytest.fixture
def connect(server, reading):
    """A reader, and the server's end of its connection."""
    readers = []

    def connected(**options):
        source = SocketTextSource("127.0.0.1", server.port, **options)
        context = reading.context(source.bad_records)
        reader = source.create_reader(source.create_enumerator(1).next_split(0), context)
        assert reader.read(10, 0) == []
        readers.append(reader)
        return reader, server.accept()

    yield connected
    for reader in readers:
        reader.close()


def test_lines_arrive_whole(connect):
    reader, peer = connect()
    peer.sendall(b"one\ntw")
    assert reader.read(10, WAIT_MS) == ["one"]
    peer.sendall("o\r\n\nthrée".encode())
    assert reader.read(10, WAIT_MS) == ["two", ""]
    assert reader.read(10, 0) == []
    peer.close()
    assert reader.read(10, WAIT_MS) == ["thrée"]  # the server closed: what is left is a record
    assert reader.read(10, WAIT_MS) is None
    assert reader.position().start == 4


def test_no_more_rows_than_asked_for(connect):
    reader, peer = connect()
    peer.sendall(b"1\n2\n3\n")
    assert [reader.read(2, WAIT_MS), reader.read(2, 0)] == [["1", "2"], ["3"]]


def test_a_delimiter_may_be_long_and_cut_anywhere(connect):
    reader, peer = connect(delimiter="||")
    peer.sendall(b"a|b|")
    assert reader.read(10, WAIT_MS) == []
    peer.sendall(b"|c\r\n||")
    assert reader.read(10, WAIT_MS) == ["a|b", "c\r\n"]


def test_records_that_are_not_text_follow_the_policy(connect, reading):
    reader, peer = connect(bad_records="bad")
    peer.sendall(b"ok\n\xff\nok\n")
    assert reader.read(10, WAIT_MS) == ["ok", "ok"]
    assert reading.side == [
        (
            "bad",
            Row(
                record="\\xff",
                reason=f"{reader.split.split_id}, record 2: not valid UTF-8: invalid start byte",
            ),
        )
    ]
    failing, peer = connect()
    peer.sendall(b"\xff\n")
    with pytest.raises(DataError, match=r"record 1: not valid UTF-8"):
        failing.read(10, WAIT_MS)


def test_a_closed_connection_is_made_again_when_the_clock_says_so(connect, server, reading):
    reader, peer = connect(max_retry=1)
    peer.sendall(b"1\n")
    assert reader.read(10, WAIT_MS) == ["1"]
    peer.close()
    assert reader.read(10, WAIT_MS) == []
    assert reader.read(10, 0) == [] and reader.connection is None  # 500 ms have not passed
    reading.clock.advance(500)
    assert reader.read(10, 0) == []
    peer = server.accept()
    peer.sendall(b"2\n")
    assert reader.read(10, WAIT_MS) == ["2"]


def test_nobody_there(server, reading):
    server.listener.close()
    source = SocketTextSource("127.0.0.1", server.port)
    reader = source.create_reader(source.create_enumerator(1).next_split(0), reading.context())
    message = f"cannot read from 127.0.0.1:{server.port}: Connection refused; start a server there"
    with pytest.raises(ConnectorError, match=message):
        reader.read(10, 0)


def test_a_source_that_cannot_be_read_twice_says_so():
    assert "what came over a socket is gone" in SocketTextSource("localhost", 1).not_replayable


@pytest.mark.parametrize(
    "options, message",
    [
        ({"port": 0}, "a port is between 1 and 65535, got 0"),
        ({"port": 1, "delimiter": ""}, "the delimiter of a socket stream is at least one character"),
        ({"port": 1, "max_retry": -2}, "max_retry is -1 .for ever., 0 or more, got -2"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigurationError, match=message):
        SocketTextSource("localhost", **options)
