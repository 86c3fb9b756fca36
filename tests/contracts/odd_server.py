#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""odd_server.py BEHAVIOUR: a TCP server that answers each request in its own way.

A behaviour is a generator function: it gets the connection, the request's body and the number of
the request on this server, and yields bytes to send; CLOSE at its end closes the connection, RESET
resets it, EXIT ends the server. The head is not looked at, beyond its length.
"""
import os
import socket
import struct
import sys
import time

CLOSE, RESET, EXIT = object(), object(), object()


def reply(body, head="", status="200 OK"):
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def plain(body, _):
    yield reply(body)


def numbered(body, number):
    yield reply(b"%d " % number + body)


def slow(body, _):
    data = reply(body)
    for at in range(0, len(data), 13):
        yield data[at:at + 13]
        time.sleep(0.002)


def silent(_body, _):
    time.sleep(600)
    yield b""


def drip(_body, _):
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    while True:
        yield b"."
        time.sleep(0.02)


def closing(body, _):
    yield reply(body)  # says nothing of it
    yield CLOSE


def close_said(body, _):
    yield reply(body, "Connection: close\r\n")
    yield CLOSE


def old(body, _):
    yield b"HTTP/1.0 200 OK\r\n\r\n" + body
    yield CLOSE


def close_every_second(body, number):
    yield reply(b"%d " % number + body) if number % 2 == 0 else CLOSE


def close_always(_body, _):
    yield CLOSE


def reset(_body, _):
    yield RESET


def half(_body, _):
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    yield CLOSE


def half_reset(_body, _):
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    time.sleep(0.1)
    yield RESET


def chunked(body, _):
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for at in range(0, len(body), 1000):
        piece = body[at:at + 1000]
        yield b"%x;extension=1\r\n" % len(piece) + piece + b"\r\n"
    yield b"0\r\nTrailer: x\r\n\r\n"


def chunked_bad(_body, _):
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx"


def chunked_cut(_body, _):
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
    yield CLOSE


def huge(_body, _):
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    while True:
        yield bytes(65536)


def full(body, _):
    yield reply(bytes(int(body)))


def garbage(_body, _):
    yield os.urandom(4096).replace(b"H", b"x") + b"\r\n\r\n"


def huge_head(_body, _):
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X-Long: " + b"y" * 8000 + b"\r\n"


def two(_body, _):
    yield reply(b"first") + reply(b"second")


def two_late(body, _):
    yield reply(body)
    time.sleep(0.05)
    yield reply(b"of another request")


def interim(body, _):
    yield b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + reply(body)


def upgrade(_body, _):
    yield (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
           b"\x81\x05hello")


def empty(_body, _):
    yield b"HTTP/1.1 204 No Content\r\n\r\n"


def error(_body, _):
    yield reply(b'{"error":"of the function"}', status="500 Internal Server Error")


def error_long(_body, _):
    yield reply(b"e" * 100000, status="503 Service Unavailable")


def teapot(_body, _):
    yield reply(b"short and stout", status="418 I'm a teapot")


def dies(_body, _):
    yield EXIT


def dies_after(body, _):
    yield reply(body)
    yield EXIT


def early(_body, _):  # served without reading the body: see serve()
    yield reply(b"too much", "Connection: close\r\n", "413 Payload Too Large")
    yield CLOSE


def read_request(connection, early_answer):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length and not early_answer:
        piece = connection.recv(1 << 20)
        if not piece:
            return None
        body += piece
    return body


def serve(connection, behaviour, number):
    while True:
        body = read_request(connection, behaviour is early)
        if body is None:
            return number
        number += 1
        for step in behaviour(body, number):
            if step is EXIT:
                print("last words", flush=True)
                os._exit(7)
            if step is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
            if step in (RESET, CLOSE):
                return number
            connection.sendall(step)


def main():
    behaviour = globals()[sys.argv[1]]
    number = 0
    with socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=4) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                try:
                    number = serve(connection, behaviour, number)
                except (BrokenPipeError, ConnectionResetError):
                    pass


if __name__ == "__main__":
    main()
