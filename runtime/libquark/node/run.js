// SPDX-License-Identifier: Apache-2.0
/*
 * node run.js FILE.FUNCTION: answers every request with FUNCTION of FILE (below the current folder,
 * CommonJS or ES module), called with a Buffer. It returns a Buffer, a string, undefined for
 * nothing, another value to be written as JSON, or a promise of one of these. What it throws fails
 * the request.
 */
'use strict';

const quark = require('./index.js'); // before the handler: it replaces Math.random
const {existsSync} = require('fs');
const path = require('path');
const {pathToFileURL} = require('url');

const MESSAGE_MAX = 2000; // stays in the mailbox's first page

function usage(message) {
	process.stderr.write(`quark: ${message}\nusage: node run.js FILE.FUNCTION\n`);
	process.exit(2);
}

async function load(file) {
	let found;

	try {
		found = require.resolve(file);
	} catch (error) {
		found = ['.mjs', '.cjs'].map((end) => file + end).find(existsSync); // not require's
		if (!found)
			throw error;
	}
	if (!found.endsWith('.mjs')) {
		try {
			return require(found);
		} catch (error) {
			if (error.code !== 'ERR_REQUIRE_ESM')
				throw error;
		}
	}
	return import(pathToFileURL(found).href);
}

async function handlerFind(spec) {
	const dot = spec.lastIndexOf('.');

	if (dot <= 0 || dot === spec.length - 1)
		usage(`'${spec}' is not FILE.FUNCTION`);
	const module = await load(path.resolve(spec.slice(0, dot)));
	const name = spec.slice(dot + 1);
	const handler = module[name] || (module.default && module.default[name]);
	if (typeof handler !== 'function')
		usage(`'${spec.slice(0, dot)}' has no function '${name}'`);
	return handler;
}

function fail(error) {
	const text = Buffer.from(String((error && error.stack) || error));

	quark.fail(text.subarray(0, MESSAGE_MAX));
}

function encode(result) {
	if (typeof result === 'string' || ArrayBuffer.isView(result) || result instanceof ArrayBuffer)
		return result;
	return result === undefined ? '' : JSON.stringify(result);
}

/* Lines that are printed while a request is answered go to the caller's log, everything else to the
 * console as before. */
function streamToLog(stream) {
	const write = stream.write.bind(stream);
	let rest = '';

	stream.write = (chunk, encoding, done) => {
		if (!quark.isAnswering())
			return write(chunk, encoding, done);
		const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
		const lines = (rest + text).split('\n');
		rest = lines.pop();
		lines.forEach(quark.log);
		const call = typeof encoding === 'function' ? encoding : done;
		if (call)
			process.nextTick(call);
		return true;
	};
	return () => {
		if (rest)
			quark.log(rest);
		rest = '';
	};
}

/* What is thrown outside the handler, in a callback that it left behind, ends the process; a
 * request that waits for an answer is told why. */
function die(error) {
	if (quark.isAnswering())
		fail(error);
	process.stderr.write(`${(error && error.stack) || error}\n`);
	process.exit(1);
}

async function serve(handler) {
	const finish = [process.stdout, process.stderr].map(streamToLog);

	for (let i = 0; i < 20; i++) { // a rehearsal: V8 compiles what is called first
		encode({rehearsal: [Buffer.from('rehearsal').length]});
		finish.forEach((end) => end());
	}
	for (;;) {
		const request = quark.next();
		try {
			let result = handler(Buffer.from(request.data));
			if (result && typeof result.then === 'function')
				result = await result;
			const response = encode(result);
			finish.forEach((end) => end());
			quark.respond(response);
		} catch (error) {
			if (!quark.isAnswering())
				throw error;
			fail(error);
		}
	}
}

process.on('exit', (code) => {
	if (quark.isAnswering())
		quark.fail(`the handler ended the process with status ${code}`);
});
process.on('uncaughtException', die);
process.on('unhandledRejection', die);

if (process.argv.length !== 3)
	usage('one argument is needed');
handlerFind(process.argv[2]).then(serve);
