// SPDX-License-Identifier: Apache-2.0
/*
 * libquark for Node: next, respond, fail and log over the mailbox and the doorbell.
 *
 *	const quark = require('quark');
 *
 *	prepare();                        // paid once, when the template is built
 *	for (;;) {
 *		const request = quark.next(); // the first call is the snapshot point
 *		quark.respond(request.data);
 *	}
 *
 * or `node run.js FILE.FUNCTION` for a function that maps a Buffer to a Buffer, string or JSON.
 *
 * The protocol is vmm/include/mailbox.h. addon.c does what needs an address or a system call. The
 * main thread calls these functions; it is stopped while it waits, and so is the event loop.
 *
 * Loading this module replaces Math.random, because V8 keeps its state, and a stock of numbers
 * drawn from it, where a script cannot reach them. Load it first: a reference to the old function
 * that was taken before draws the same numbers in every clone.
 */
'use strict';

const addon = require('./quark.node');
const asyncHooks = require('async_hooks');
const crypto = require('crypto');

// --- vmm/include/mailbox.h ----------------------------------------------------------------------

const MAGIC = [0x72617571, 0x786f626b]; // low word, high word
const VERSION = 2;
const SMALL_REQUEST = 1024;
const SMALL_REQUEST_MAX = 1024;
const SMALL_RESPONSE = 2048;
const SMALL_RESPONSE_MAX = 2048;
const REQUEST = 4096;
const REQUEST_MAX = (1 << 20) - 4096;
const RESPONSE = 1 << 20;
const RESPONSE_MAX = (1 << 20) - 65536;
const LOG = (2 << 20) - 65536;
const LOG_MAX = 4096;

const ORDER = {NONE: 0, REQUEST: 1, PARK: 2, SLEEP: 5};
const BELL = {READY: 1, DONE: 2, FAILED: 3, LOG: 4};

// Members of struct mailbox_header as indices of its 32-bit words; a 64-bit member has two.
const WORD = {
	MAGIC: 0, VERSION: 2, ORDER: 3, GENERATION: 4, REALTIME: 6,
	REQUEST_OFFSET: 24, REQUEST_BYTES: 25, SEQUENCE: 28,
	GUEST_MAGIC: 30, GUEST_VERSION: 32, RESPONSE_OFFSET: 33, RESPONSE_BYTES: 34,
	LOG_BYTES: 35, GUEST_SEQUENCE: 36,
};
const REHEARSALS = 20;
const ENTROPY = 32;
const ENTROPY_BYTES = 64;

// --- state: the process has one mailbox ---------------------------------------------------------

let memory = null;  // ArrayBuffer of the mailbox
let bytes = null;   // Buffer over it
let words = null;   // Uint32Array over the header
let ring = addon.ring;
let arriving = true; // the next wait is where the snapshot is taken
let answering = false; // there is an order without an answer
let broken = null;  // why this clone must never answer
const sequence = [0, 0];   // of that order
const generation = [0, 0]; // of the clone that afterRestore was done for
const beforeHooks = [];
const afterHooks = [];

function named(name, message) {
	const error = new Error(message);

	error.name = name;
	return error;
}

const protocolError = (message) => named('ProtocolError', message);

function envFd(name) {
	const text = process.env[name] || '';

	if (!/^[0-9]{1,9}$/.test(text))
		throw new Error(`there is no doorbell and mailbox: ${name} is not set to a descriptor`);
	return Number(text);
}

function open() {
	if (memory)
		return;
	const mapped = addon.open(envFd('QUARK_DOORBELL_FD'), envFd('QUARK_MAILBOX_FD'));
	if (typeof mapped === 'number')
		throw new Error(`cannot map the doorbell or the mailbox: error ${-mapped}`);
	memory = mapped;
	bytes = Buffer.from(memory);
	words = new Uint32Array(memory, 0, 64);
	sign();
}

/* Puts the guest's mark on the header: a clone gets a fresh mailbox. */
function sign() {
	words[WORD.GUEST_MAGIC] = MAGIC[0];
	words[WORD.GUEST_MAGIC + 1] = MAGIC[1];
	words[WORD.GUEST_VERSION] = VERSION;
}

const big = (word) => (BigInt(words[word + 1]) << 32n) | BigInt(words[word]);

// --- Math.random --------------------------------------------------------------------------------

/* sfc32 of PractRand: 128 bits of state in 32-bit integers, which V8 keeps unboxed. */
const random = new Uint32Array(4);

function random32() {
	const sum = (random[0] + random[1] + random[3]) >>> 0;

	random[3] += 1;
	random[0] = random[1] ^ (random[1] >>> 9);
	random[1] = random[2] + (random[2] << 3);
	random[2] = ((random[2] << 21) | (random[2] >>> 11)) + sum;
	return sum;
}

function randomSeed(seed) {
	random.set(seed);
	for (let i = 0; i < 15; i++)
		random32();
}

/* 53 bits, as many as a number in [0, 1) has. */
const {random: mathRandom} = {
	random() {
		return ((random32() >>> 5) * 67108864 + (random32() >>> 6)) / 9007199254740992;
	},
};

// --- being one's own machine --------------------------------------------------------------------

randomSeed(Uint32Array.from({length: 4}, () => Math.random() * 4294967296));
Object.defineProperty(Math, 'random',
	{value: mathRandom, writable: true, enumerable: false, configurable: true});

/*
 * randomUUID and randomInt hand out bytes that Node drew in stock (128 of the one, 1024 of the
 * other), and nothing clears a stock. But it can be used up before the snapshot, so that the first
 * draw of a clone fetches a new one: asynchronous hooks see when Node asks OpenSSL for random
 * bytes.
 * False when they did not see it, for instance because this Node keeps no stock.
 */
function stockUseUp(draw, count) {
	let fetched = 0;
	const init = (id, type) => {
		if (type === 'RANDOMBYTESREQUEST')
			fetched++;
	};
	const hook = asyncHooks.createHook({init}).enable();
	try {
		for (let i = 0; i <= count && fetched === 0; i++)
			draw();
		if (fetched !== 1)
			return false;
		for (let i = 1; i < count; i++)
			draw();
		return fetched === 1;
	} finally {
		hook.disable();
	}
}

const stocks = [
	{draw: () => crypto.randomUUID(), count: 128, usedUp: false},
	{draw: () => crypto.randomInt(2), count: 1024, usedUp: false},
];

/* OpenSSL first: the rest is drawn from it. */
function makeUnique() {
	if (addon.reseed() !== 1)
		throw new Error("OpenSSL's random generator did not take new entropy");
	for (const {draw, count, usedUp} of stocks)
		for (let i = 0; !usedUp && i < count; i++)
			draw();
	randomSeed(crypto.randomFillSync(new Uint32Array(4)));
}

function hooksRun(hooks) {
	for (const hook of hooks) {
		const result = hook();

		if (result && typeof result.then === 'function')
			throw new TypeError('a hook must not be asynchronous');
	}
}

/*
 * Becomes a clone, takes a request and answers it, some times, with a mailbox and a doorbell that
 * nobody sees. A failure fails the build. And V8 compiles a function when it is called first.
 */
function rehearse() {
	const real = {memory, bytes, words};
	const hooks = afterHooks.splice(0);

	memory = new ArrayBuffer(REQUEST);
	bytes = Buffer.from(memory);
	words = new Uint32Array(memory, 0, 64);
	ring = () => {};
	words.set(MAGIC, WORD.MAGIC);
	words[WORD.VERSION] = VERSION;
	words[WORD.ORDER] = ORDER.REQUEST;
	words[WORD.REQUEST_OFFSET] = SMALL_REQUEST;
	try {
		for (let number = 1; number <= REHEARSALS; number++) {
			words[WORD.GENERATION] = words[WORD.SEQUENCE] = number;
			respond(number % 2 ? next().data : String(next().data));
		}
	} finally {
		({memory, bytes, words} = real);
		ring = addon.ring;
		generation.fill(0);
		afterHooks.push(...hooks);
	}
}

/* Before the snapshot: hooks, a rehearsal of what each clone will do, and a heap without garbage
 * where V8 lets us (--expose-gc). */
function prepare() {
	hooksRun(beforeHooks);
	rehearse();
	for (const stock of stocks)
		stock.usedUp = stockUseUp(stock.draw, stock.count);
	if (typeof global.gc === 'function')
		global.gc();
}

/* Once a clone. Whatever goes wrong, this clone answers nothing but that. */
function ensureUnique() {
	const low = words[WORD.GENERATION];
	const high = words[WORD.GENERATION + 1];

	if (low === generation[0] && high === generation[1] && (low || high))
		return;
	try {
		if (!low && !high)
			throw new Error('the clone has no generation');
		makeUnique();
		hooksRun(afterHooks);
	} catch (error) {
		broken = named('RestoreError', `after restore: ${error}`);
		answer(broken.message, BELL.FAILED);
		throw broken;
	}
	generation[0] = low;
	generation[1] = high;
}

// --- the life of a request ----------------------------------------------------------------------

function orderBegin() {
	sequence[0] = words[WORD.SEQUENCE];
	sequence[1] = words[WORD.SEQUENCE + 1];
	if (!sequence[0] && !sequence[1])
		throw protocolError('the order has no number');
	answering = true;
	ensureUnique();
}

const within = (offset, size, area, max) => offset >= area && offset + size <= area + max;

function take() {
	const offset = words[WORD.REQUEST_OFFSET];
	const size = words[WORD.REQUEST_BYTES];

	if (!within(offset, size, SMALL_REQUEST, SMALL_REQUEST_MAX) &&
	    !within(offset, size, REQUEST, REQUEST_MAX))
		throw protocolError(`the request (${size} bytes at ${offset}) leaves the mailbox`);
	orderBegin();
	return {
		data: bytes.subarray(offset, offset + size),
		entropy: bytes.subarray(ENTROPY, ENTROPY + ENTROPY_BYTES),
		get generation() { return big(WORD.GENERATION); },
		get realtimeNs() { return big(WORD.REALTIME); },
	};
}

function park() {
	orderBegin();
	answering = false;
	if (addon.touch() !== 0)
		throw protocolError('the list of pages leaves the mailbox');
}

/* Stops where the host gives the next order. */
function stop() {
	if (!arriving) {
		ring(BELL.READY);
		return;
	}
	arriving = false; // before the rehearsal, which waits for requests, too
	try {
		prepare();
	} catch (error) {
		arriving = true;
		throw error;
	}
	if (process.env.QUARK_WAKE !== 'run0') {
		ring(BELL.READY);
		return;
	}
	const r = addon.wait();
	if (r !== 0)
		throw new Error(`futex: error ${-r}`);
}

/* Waits for a request. One that was not answered fails first. request.data is a Buffer in the
 * mailbox, valid until the answer is given. */
function next() {
	open();
	if (broken)
		throw broken;
	if (answering)
		answer('the function did not answer', BELL.FAILED);
	for (;;) {
		stop();
		if (words[WORD.MAGIC] !== MAGIC[0] || words[WORD.MAGIC + 1] !== MAGIC[1] ||
		    words[WORD.VERSION] !== VERSION)
			throw protocolError("the host's mailbox has another magic or version");
		const order = words[WORD.ORDER];
		switch (order) {
		case ORDER.REQUEST:
			return take();
		case ORDER.PARK:
			park();
			break;
		case ORDER.SLEEP:
			arriving = true;
			break;
		case ORDER.NONE:
			break;
		default:
			throw protocolError(`order ${order} is unknown`);
		}
	}
}

function asBytes(data) {
	if (ArrayBuffer.isView(data))
		return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
	if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer)
		return new Uint8Array(data);
	throw new TypeError('a response is a string, a Buffer, a TypedArray or an ArrayBuffer');
}

/* Puts `data` into the mailbox, unless it lies in the responses' room already. Returns where. */
function place(data, size) {
	if (typeof data !== 'string' && data.buffer === memory &&
	    within(data.byteOffset, size, RESPONSE, RESPONSE_MAX))
		return data.byteOffset;
	const offset = size <= SMALL_RESPONSE_MAX ? SMALL_RESPONSE : RESPONSE;
	if (typeof data === 'string')
		bytes.write(data, offset, size, 'utf8');
	else
		bytes.set(data, offset);
	return offset;
}

function answer(data, bell) {
	if (!answering)
		throw new Error('there is no request to answer');
	if (typeof data !== 'string')
		data = asBytes(data);
	const size = typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength;
	if (size > RESPONSE_MAX)
		throw new RangeError(`a response has at most ${RESPONSE_MAX} bytes, not ${size}`);
	const offset = place(data, size);
	sign();
	words[WORD.RESPONSE_OFFSET] = offset;
	words[WORD.RESPONSE_BYTES] = size;
	words[WORD.GUEST_SEQUENCE] = sequence[0];
	words[WORD.GUEST_SEQUENCE + 1] = sequence[1];
	answering = false;
	ring(bell);
}

/* Answers the request with a string, Buffer, TypedArray or ArrayBuffer. */
function respond(data) {
	if (broken)
		throw broken;
	answer(data, BELL.DONE);
}

/* Answers that the function failed, with a message for the caller. */
function fail(message) {
	answer(Buffer.from(String(message)).subarray(0, RESPONSE_MAX), BELL.FAILED);
}

/* Writes a line to the caller's log, cut at 4096 bytes. Returns at once. */
function log(message) {
	open();
	const size = bytes.write(String(message), LOG, LOG_MAX, 'utf8');
	sign();
	words[WORD.LOG_BYTES] = size;
	ring(BELL.LOG);
}

/* The mailbox's own room for a large response: respond() with a part of it copies nothing. */
function responseBuffer() {
	open();
	return bytes.subarray(RESPONSE, RESPONSE + RESPONSE_MAX);
}

/* Hooks are functions without arguments, called in order, and synchronous. When one of the second
 * kind throws, the clone fails and answers nothing. */
function beforeSnapshot(hook) {
	beforeHooks.push(hook);
}

function afterRestore(hook) {
	afterHooks.push(hook);
}

const isAnswering = () => answering;

module.exports = {
	next, respond, fail, log, beforeSnapshot, afterRestore, responseBuffer, isAnswering,
	RESPONSE_MAX,
};
