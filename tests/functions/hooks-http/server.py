# SPDX-License-Identifier: Apache-2.0
"""hooks-http: an HTTP server that answers how often its hooks ran, and what the one after the restore
drew; to a request "fail" with a status of 500, to "exit" by its end."""
import http.server
import json
import os
import sys

seen = {"before": 0, "after": 0, "token": ""}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(204 if self.path == "/ready" else 404, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/_quark/before-snapshot":
            seen["before"] += 1
        elif self.path == "/_quark/after-restore":
            seen["after"] += 1
            seen["token"] = os.urandom(8).hex()
        elif body == b"fail":
            return self.answer(500, b"out of order")
        elif body == b"exit":
            os._exit(7)
        elif body.startswith(b"upper "):
            return self.answer(200, body[6:].upper())
        return self.answer(200, json.dumps(seen).encode())

    def log_message(self, *args):
        print("served", self.path, file=sys.stderr)


http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
