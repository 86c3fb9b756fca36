/*
 * A function in JavaScript. Build it on an image that has node, and call it:
 *
 *	quark build . -t hello --image docker.io/library/node:20-slim
 *	quark invoke hello -d '{"name": "world"}'
 */
'use strict';

const quark = require('quark');

// Here: modules, tables, connections that survive. Paid once, before the snapshot.

quark.afterRestore(() => {
	// In each clone, before its first request: seeds of your own generators.
});

exports.handler = async (request) => {
	const {name = 'nobody'} = JSON.parse(request.length ? request : '{}');

	return {greeting: `hello, ${name}`};
};
