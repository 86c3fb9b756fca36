// SPDX-License-Identifier: Apache-2.0
// unique-node: answers what two clones must not have in common. Everything that is drawn from has
// been drawn from before the snapshot, so that its state is copied. But not the boot id: the kernel
// draws that when it is first read, and gives no way to draw it again.
// The request "clock" is answered with the time alone.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const os = require('os');

const read = (path) => fs.readFileSync(path, 'utf8').trim();

function kernel() {
	const bytes = Buffer.alloc(16);
	const file = fs.openSync('/dev/urandom');

	fs.readSync(file, bytes);
	fs.closeSync(file);
	return bytes.toString('hex');
}

const draw = () => ({
	kernel: kernel(),
	random: Math.random(),
	openssl: crypto.randomBytes(16).toString('hex'),
	int: crypto.randomInt(2 ** 47),
	uuid: crypto.randomUUID(),
	hostname: os.hostname(),
	machine_id: read('/etc/machine-id'),
	realtime_ns: Date.now() * 1e6,
});

exports.handler = (request) => request.toString() === 'clock' ?
	{realtime_ns: Date.now() * 1e6} :
	{...draw(), boot_id: read('/proc/sys/kernel/random/boot_id')};

for (let i = 0; i < 3; i++)
	draw();
