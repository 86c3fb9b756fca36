// SPDX-License-Identifier: Apache-2.0
// A Lambda handler, as for AWS: it knows nothing of quark.
'use strict';

if (process.env.TABLE === 'broken')
	throw new Error('there is no such table');
const table = {one: 1, two: 2};
let imports = 0, count = 0;

imports++;
exports.handler = async (event, context) => {
	console.log('request', context.awsRequestId);
	count++;
	if (event.fail)
		throw new TypeError('failed ' + event.fail);
	if (event.exit)
		process.exit(event.exit);
	return {
		found: table[event.key] ?? null, count, imports,
		type: process.env.AWS_LAMBDA_INITIALIZATION_TYPE, table: process.env.TABLE,
		name: context.functionName, handler: process.env._HANDLER, id: context.awsRequestId,
	};
};
