# SPDX-License-Identifier: Apache-2.0
"""json-python: doubles a list of numbers with numpy and answers the list and its sum.

Its image has Python and numpy: quark build images/functions/json-python -t NAME --image IMAGE
"""
import json

import numpy


def handler(request):
    doubled = numpy.array(json.loads(request)["numbers"], dtype=float) * 2
    return {"numbers": doubled.tolist(), "sum": float(doubled.sum())}


# Before the snapshot, so that what numpy, json and CPython prepare in first uses is prepared.
for _ in range(20):
    handler(b'{"numbers": [1, 2, 3.5]}')
