// SPDX-License-Identifier: Apache-2.0
// json-node: doubles a list of numbers and answers the list and its sum. Its image has Node:
// quark build images/functions/json-node -t NAME --image IMAGE
'use strict';

exports.handler = (request) => {
	const numbers = JSON.parse(request).numbers.map((number) => number * 2);

	return {numbers, sum: numbers.reduce((sum, number) => sum + number, 0)};
};

// Before the snapshot, so that what is compiled at first use is compiled.
for (let i = 0; i < 100; i++)
	exports.handler('{"numbers": [1, 2, 3.5]}');
