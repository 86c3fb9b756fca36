// SPDX-License-Identifier: Apache-2.0
// hooks-node: answers how often its hooks ran, and what the one after the restore drew.
'use strict';

const crypto = require('crypto');
const quark = require('quark');

const seen = {before: 0, after: 0, token: ''};

quark.beforeSnapshot(() => {
	seen.before++;
});
quark.afterRestore(() => {
	seen.after++;
	seen.token = crypto.randomBytes(8).toString('hex');
});

exports.handler = () => seen;
