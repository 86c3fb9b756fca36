# SPDX-License-Identifier: Apache-2.0
"""hooks-lambda: a Lambda runtime with hooks, as AWS's for Java and Python are: it runs them around
GET restore/next. Answers how often they ran, and what the one after the restore drew."""
import http.client
import json
import os

API = "/2018-06-01/runtime/"
seen = {"before": 0, "after": 0, "token": ""}
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None):
    connection.request(method, API + path, body)
    response = connection.getresponse()
    return response.headers, response.read()


if os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start":
    seen["before"] += 1
    call("GET", "restore/next")
    seen["after"] += 1
    seen["token"] = os.urandom(8).hex()
while True:
    headers, event = call("GET", "invocation/next")
    invocation = headers["Lambda-Runtime-Aws-Request-Id"]
    if json.loads(event) == "fail":
        call("POST", f"invocation/{invocation}/error",
             json.dumps({"errorType": "Luck", "errorMessage": "out of it"}))
    else:
        call("POST", f"invocation/{invocation}/response", json.dumps(seen))
