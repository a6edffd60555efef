# SPDX-License-Identifier: Apache-2.0
"""Kafka's DeleteRecords (API key 21, version 1) on the plain protocol: what retention does, at a moment of a test's choice."""
from __future__ import annotations

import socket
import struct

HIGH_WATERMARK = -1


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def read_exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        assert part, "the broker closed the connection"
        data += part
    return data


def delete_records(address: str, topic: str, partitions: int, before: int = HIGH_WATERMARK) -> list[int]:
    """Deletes what every partition of the topic holds below `before`; returns the new first offsets."""
    host, port = address.rsplit(":", 1)
    wanted = b"".join(struct.pack(">iq", partition, before) for partition in range(partitions))
    body = (struct.pack(">hhi", 21, 1, 1) + text("foreframe-test") + struct.pack(">i", 1) + text(topic) +
            struct.pack(">i", partitions) + wanted + struct.pack(">i", 10_000))
    with socket.create_connection((host, int(port)), timeout=15) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = read_exactly(connection, struct.unpack(">i", read_exactly(connection, 4))[0])
    at = 4 + 4 + 4 + 2 + len(topic) + 4  # correlation, throttle, topics, name, partitions
    lows = []
    for _ in range(partitions):
        _, low, error = struct.unpack_from(">iqh", answer, at)
        assert error == 0, f"DeleteRecords failed with Kafka error {error}"
        lows.append(low)
        at += 14
    return lows
