#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""lambda_client.py BEHAVIOUR: a Lambda runtime, written out, that behaves in one of several ways."""
import http.client
import json
import os
import socket
import sys
import time

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
RUNTIME = "/2018-06-01/runtime/"
connection = http.client.HTTPConnection(API)


def call(method, path, body=None, headers=None, on=None):
    on = on or connection
    on.request(method, RUNTIME + path, body, headers or {})
    response = on.getresponse()
    return response, response.read()


def get_next():
    response, body = call("GET", "invocation/next")
    assert response.status == 200, response.status
    return response.headers, body


def post(kind, headers, body, **more):
    return call("POST", f"invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/{kind}", body, more)


def echo():
    while True:
        headers, body = get_next()
        response, text = post("response", headers, body)
        assert (response.status, json.loads(text)) == (202, {"status": "OK"}), text


def new_connections():
    global connection
    while True:
        connection = http.client.HTTPConnection(API)
        headers, body = get_next()
        connection.close()
        connection = http.client.HTTPConnection(API)
        post("response", headers, body, Connection="close")


def heads():
    while True:
        headers, _ = get_next()
        post("response", headers, json.dumps(dict(headers, now=time.time())))


def environment():
    while True:
        headers, _ = get_next()
        post("response", headers, json.dumps(dict(os.environ)))


def errors():
    while True:
        headers, body = get_next()
        response, _ = call("POST", f"invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/error",
                           body, {"Lambda-Runtime-Function-Error-Type": "Test.Error",
                                  "Lambda-Runtime-Function-XRay-Error-Cause": "x" * 900000})
        assert response.status == 202


def chunked():
    def pieces(data):
        for at in range(0, len(data), 777):
            yield data[at:at + 777]
    while True:
        headers, body = get_next()
        connection.request("POST", RUNTIME + "invocation/" +
                           headers["Lambda-Runtime-Aws-Request-Id"] + "/response",
                           pieces(body), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        connection.getresponse().read()


def broken_stream():
    while True:
        headers, _ = get_next()
        raw = socket.create_connection(API.split(":"))
        raw.sendall((f"POST {RUNTIME}invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/response"
                     " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n"
                     "Lambda-Runtime-Function-Error-Type: Broke.Off\r\n\r\n").encode())
        raw.recv(1000)
        raw.close()


def sized():
    while True:
        headers, body = get_next()
        response, _ = post("response", headers, bytes(int(body)))
        assert response.status == (202 if int(body) <= 983040 else 413), response.status


def wrong_ids():
    while True:
        headers, _ = get_next()
        seen = []
        own = headers["Lambda-Runtime-Aws-Request-Id"]
        for path in ("invocation/x/response", f"invocation/{own[:-1]}/response", "invocation//error",
                     f"invocation/{own}0/response", f"invocation/{own}/reply", "invocation/next",
                     "../etc/passwd", "x" * 70000, f"invocation/{'x' * 36}/response", "init"):
            response, _ = call("POST", path, b"wrong")
            seen.append(response.status)
        for method, path in (("GET", "init/error"), ("PUT", f"invocation/{own}/response")):
            seen.append(call(method, path, b"")[0].status)
        post("response", headers, json.dumps(seen))
        seen = post("response", headers, "again")[0].status
        assert seen == 400, seen


def init_error():
    call("POST", "init/error", json.dumps({"errorMessage": "no such module",
                                           "errorType": "Runtime.ImportModuleError"}))
    sys.exit(3)


def init_error_stays():
    call("POST", "init/error", b"")
    time.sleep(600)


def uncaught():
    get_next()
    call("POST", "init/error", json.dumps({"errorMessage": "thrown", "errorType": "Error"}))
    sys.exit(129)


def restore():
    response, _ = call("GET", "restore/next")
    assert response.status == 200
    print("hook runs", flush=True)
    echo()


def restore_error():
    call("GET", "restore/next")
    response, _ = call("POST", "restore/error", b'{"errorMessage":"no more entropy"}')
    assert response.status == 202
    sys.exit(5)


def restore_dies():
    call("GET", "restore/next")
    sys.exit("cannot go on")


def dies():
    get_next()
    sys.exit("last words")


def dies_first():
    sys.exit("no handler")


def stalls():
    get_next()
    time.sleep(600)


def never():
    time.sleep(600)


def without_answer():
    while True:
        headers, body = get_next()
        if body != b"skip":
            post("response", headers, body)


def half_post():
    """A response that breaks off, then a whole one."""
    while True:
        headers, body = get_next()
        path = f"{RUNTIME}invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/response"
        raw = socket.create_connection(API.split(":"))
        raw.sendall(f"POST {path} HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf".encode())
        time.sleep(0.1)
        raw.close()
        time.sleep(0.1)
        response, _ = post("response", headers, body)
        assert response.status == 202, response.status


def two_uploads():
    """A second response while the first one arrives is refused, and leaves that alone."""
    while True:
        headers, _ = get_next()
        path = f"{RUNTIME}invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/response"
        raw = socket.create_connection(API.split(":"))
        raw.sendall(f"POST {path} HTTP/1.1\r\nContent-Length: 20000\r\n\r\n".encode() + b"ab" * 5000)
        time.sleep(0.1)
        response, _ = post("response", headers, b"c" * 100)
        assert response.status == 403, response.status
        raw.sendall(b"ab" * 5000)
        assert raw.recv(1000).startswith(b"HTTP/1.1 202 ")
        raw.close()


def late_post():
    """A response that begins in one invocation and ends in the next belongs to neither."""
    headers, _ = get_next()
    path = f"{RUNTIME}invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/response"
    raw = socket.create_connection(API.split(":"))
    raw.sendall(f"POST {path} HTTP/1.1\r\nContent-Length: 8\r\n\r\nlate".encode())
    time.sleep(0.1)
    headers, _ = get_next()
    raw.sendall(b"late")
    status = raw.recv(1000).split()[1].decode()
    post("response", headers, status)
    echo()


def expect():
    while True:
        headers, body = get_next()
        raw = socket.create_connection(API.split(":"))
        raw.settimeout(5)
        raw.sendall((f"POST {RUNTIME}invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/response"
                     f" HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n")
                    .encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 100 "), "no Continue"
        raw.sendall(body)
        assert raw.recv(1000).startswith(b"HTTP/1.1 202 "), "not accepted"
        raw.close()


def restore_again():
    call("GET", "restore/next")
    while True:
        headers, body = get_next()
        post("response", headers, body)
        call("GET", "restore/next")


def noise():
    """Garbage, silence and too many connections beside an ordinary client."""
    host, port = API.split(":")
    idle = [socket.create_connection((host, port)) for _ in range(5)]
    for data in b"\0" * 5000, b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n":
        raw = socket.create_connection((host, port))
        raw.sendall(data)
        raw.settimeout(5)
        try:
            while raw.recv(1000):
                pass
        except ConnectionResetError:
            pass
    more = [socket.create_connection((host, port)) for _ in range(5)]
    for one in idle:
        one.close()
    echo()
    del more


def deaf():
    """Asks, and does not read the reply; talks all the time."""
    raw = socket.create_connection(API.split(":"))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    raw.sendall(f"GET {RUNTIME}invocation/next HTTP/1.1\r\n\r\n".encode())
    for _ in range(5000):
        print("x" * 100)
    sys.stdout.flush()
    head, data = b"", b""
    while b"\r\n\r\n" not in data:
        data += raw.recv(65536)
    head, data = data.split(b"\r\n\r\n", 1)
    lines = dict(line.decode().lower().split(": ", 1) for line in head.split(b"\r\n")[1:])
    while len(data) < int(lines["content-length"]):
        data += raw.recv(65536)
    call("POST", f"invocation/{lines['lambda-runtime-aws-request-id']}/response", data)
    echo()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
