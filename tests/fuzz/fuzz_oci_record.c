/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's state.json, and the description of a cgroup in it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/cgroup.h"
#include "container/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct record record = {};
	struct cgroup *cgroup = NULL;
	struct err err = {};
	char *text;

	if (record_parse(&record, (const char *)data, bytes, &err) < 0) {
		if (!err.message[0])
			abort();
		return 0;
	}
	/* What was read can be written, and read again. */
	text = record_text(&record, "id");
	if (!text)
		abort();
	/* Of systemd's only the text is looked at: it would be asked over D-Bus. */
	if (strncmp(record.cgroup, "systemd", 7) != 0 &&
	    cgroup_open(&cgroup, record.cgroup, &err) == 0)
		(void)cgroup_free(cgroup);
	record_done(&record);
	if (record_parse(&record, text, strlen(text), &err) < 0)
		abort();
	record_done(&record);
	free(text);
	return 0;
}
