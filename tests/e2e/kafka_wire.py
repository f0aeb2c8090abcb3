"""kafka_wire - the two requests that tests need and Python's Kafka client can't send, by hand.

Both in their oldest versions, which brokers from 3.x to 4.x still speak.
"""
import socket
import struct

LEAVE_GROUP, DELETE_RECORDS = 13, 21


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def call(address, api, version, body):
    """One request on a connection of its own; answers the response's body."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        frame = struct.pack(">hhi", api, version, 1) + text("e2e") + body
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        return read_frame(connection)[4:]


def read_exactly(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("Kafka closed the connection")
        data += piece
    return data


def read_frame(connection):
    return read_exactly(connection, struct.unpack(">i", read_exactly(connection, 4))[0])


def leave_group(address, group, member_id):
    """Says for a member that was killed what it can't say itself any more; answers Kafka's error code."""
    return struct.unpack(">h", call(address, LEAVE_GROUP, 0, text(group) + text(member_id))[:2])[0]


def delete_records(address, topic, partition, before):
    """Moves the start of a partition up to `before`, as retention does."""
    body = struct.pack(">i", 1) + text(topic) + struct.pack(">iiqi", 1, partition, before, 10000)
    answer = call(address, DELETE_RECORDS, 0, body)
    low_watermark, error = struct.unpack(">qh", answer[-10:])
    assert error == 0 and low_watermark == before, f"delete_records({topic}, {partition}, {before}): error {error}, start {low_watermark}"
