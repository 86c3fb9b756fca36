/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state file: struct vm_state as checksummed sections of little-endian fields.
 *
 * The format is a fixed sequence: the rows of vm_sections, then the rows of vcpu_sections once per
 * vCPU. Reader and writer walk the same two tables, so there is nothing to dispatch on: a section
 * that is missing, repeated or out of place has the wrong type where it stands. Every bit of the
 * file is under a checksum or compared with zero. docs/snapshot-format.md is normative.
 *
 * Pure functions over the caller's buffers; any thread. state_decode is on the hot path of a
 * restore: it does not allocate, and formats nothing unless it fails.
 */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "le.h"
#include "snapshot_priv.h"
#include "state_fields.h"

#define STATE_MAGIC 0x54415453504e5351ull /* "QSNPSTAT" */

enum {
	HEADER_BYTES = 40,
	SECTION_HEADER_BYTES = 24,
	CHECKSUM_BYTES = 8,
	SECTION_ALIGN = 8,
	STATE_FEATURES = 0, /* bits that this build knows */
};

/* The FPU section's first word. */
enum { FPU_LEGACY = 0, FPU_XSAVE = 1 };

enum section_type {
	SECTION_VM = 1,
	SECTION_CPUID = 2,
	SECTION_IRQCHIP = 3,
	SECTION_PIT = 4,
	SECTION_CLOCK = 5,
	SECTION_DEVICES = 6,
	SECTION_FIRST_OF_VCPU = 16,
	SECTION_REGS = SECTION_FIRST_OF_VCPU,
	SECTION_SREGS = 17,
	SECTION_FPU = 18,
	SECTION_LAPIC = 19,
	SECTION_MP_STATE = 20,
	SECTION_EVENTS = 21,
	SECTION_DEBUGREGS = 22,
	SECTION_MSRS = 23,
};

struct section;

struct section_codec {
	int (*put)(const struct section *section, struct le_writer *w, const uint8_t *base,
		   struct err *err);
	int (*get)(const struct section *section, struct le_reader *r, uint8_t *base,
		   struct err *err);
};

/* One row of the format. Offsets are in struct vm_state or struct vcpu_state. */
struct section {
	enum section_type type;
	const char *name;
	const struct section_codec *codec;
	const struct layout *layout;
	uint32_t offset;       /* of the record, or of the first one of a list */
	uint32_t count_offset; /* lists: of the uint32_t that counts them */
	uint32_t max;	       /* lists: how many fit */
	int (*check)(const void *base, struct err *err); /* of the values, or NULL */
};

/* --- one record, and lists of records ------------------------------------------------------- */

static int record_section_put(const struct section *section, struct le_writer *w,
			      const uint8_t *base, struct err *err)
{
	uint8_t *at = le_room(w, section->layout->wire_bytes);

	(void)err;
	if (at)
		records_put(section->layout, at, base + section->offset, 1);
	return 0;
}

static int record_section_get(const struct section *section, struct le_reader *r, uint8_t *base,
			      struct err *err)
{
	const uint8_t *at = le_take(r, section->layout->wire_bytes);

	(void)err;
	if (at)
		records_get(section->layout, base + section->offset, at, 1);
	return 0;
}

static const struct section_codec record_codec = {record_section_put, record_section_get};

static int list_section_put(const struct section *section, struct le_writer *w,
			    const uint8_t *base, struct err *err)
{
	const struct layout *layout = section->layout;
	uint32_t count;
	uint8_t *at;

	memcpy(&count, base + section->count_offset, sizeof(count));
	if (count > section->max)
		return err_set(err, -EINVAL, "%u entries, at most %u fit", count, section->max);
	at = le_room(w, (size_t)count * layout->wire_bytes);
	if (at)
		records_put(layout, at, base + section->offset, count);
	return 0;
}

static int list_section_get(const struct section *section, struct le_reader *r, uint8_t *base,
			    struct err *err)
{
	const struct layout *layout = section->layout;
	uint32_t count = (uint32_t)(r->len / layout->wire_bytes);

	/* A remainder is left over, which the caller refuses. */
	if (count > section->max)
		return err_set(err, -EBADMSG, "%u entries, at most %u fit", count, section->max);
	records_get(layout, base + section->offset, le_take(r, (size_t)count * layout->wire_bytes),
		    count);
	memcpy(base + section->count_offset, &count, sizeof(count));
	return 0;
}

static const struct section_codec list_codec = {list_section_put, list_section_get};

/* --- devices: {name[16], version u32, bytes u32, data[bytes]} each -------------------------- */

/* The name is quoted in messages and compared by the reader: printable, and zero after its end. */
static bool device_name_is_valid(const char name[VM_DEVICE_NAME_MAX])
{
	size_t n = strnlen(name, VM_DEVICE_NAME_MAX);

	if (n == 0 || n == VM_DEVICE_NAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	for (size_t i = n; i < VM_DEVICE_NAME_MAX; i++)
		if (name[i])
			return false;
	return true;
}

static int device_check(const struct device_state *device, unsigned int index, struct err *err)
{
	if (!device_name_is_valid(device->name))
		return err_set(err, -EBADMSG, "device %u has no valid name", index);
	if (device->bytes > VM_DEVICE_STATE_MAX)
		return err_set(err, -EBADMSG, "device '%s' has %u bytes, at most %d fit",
			       device->name, device->bytes, VM_DEVICE_STATE_MAX);
	return 0;
}

static int devices_put(const struct section *section, struct le_writer *w, const uint8_t *base,
		       struct err *err)
{
	const struct vm_state *state = (const void *)base;
	int r;

	if (state->device_count > section->max)
		return err_set(err, -EINVAL, "%u devices, at most %u fit", state->device_count,
			       section->max);
	for (uint32_t i = 0; i < state->device_count; i++) {
		const struct device_state *device = &state->devices[i];

		r = device_check(device, i, err);
		if (r < 0)
			return r;
		le_put_bytes(w, device->name, sizeof(device->name));
		le_put(w, device->version, 4);
		le_put(w, device->bytes, 4);
		le_put_bytes(w, device->data, device->bytes);
	}
	return 0;
}

static int devices_get(const struct section *section, struct le_reader *r, uint8_t *base,
		       struct err *err)
{
	struct vm_state *state = (void *)base;
	uint32_t count = 0;
	int result;

	while (!r->bad && r->pos < r->len) {
		struct device_state *device = &state->devices[count];

		if (count == section->max)
			return err_set(err, -EBADMSG, "more than %u devices", section->max);
		le_get_bytes(r, device->name, sizeof(device->name));
		device->version = (uint32_t)le_get(r, 4);
		device->bytes = (uint32_t)le_get(r, 4);
		if (r->bad)
			break;
		result = device_check(device, count, err);
		if (result < 0)
			return result;
		le_get_bytes(r, device->data, device->bytes);
		count++;
	}
	state->device_count = count;
	return 0;
}

static const struct section_codec devices_codec = {devices_put, devices_get};

/* --- FPU: {form u32, xcr count u32}, then by form the legacy registers or xcrs and the area --- */

static int fpu_put(const struct section *section, struct le_writer *w, const uint8_t *base,
		   struct err *err)
{
	const struct vcpu_state *vcpu = (const void *)base;
	uint32_t xcrs = vcpu->has_xsave ? vcpu->xcrs.nr_xcrs : 0;
	uint8_t *at;

	if (xcrs > KVM_MAX_XCRS)
		return err_set(err, -EINVAL, "%u XCRs, at most %d exist", xcrs, KVM_MAX_XCRS);
	le_put(w, vcpu->has_xsave ? FPU_XSAVE : FPU_LEGACY, 4);
	le_put(w, xcrs, 4);
	if (!vcpu->has_xsave)
		return record_section_put(section, w, base, err);

	at = le_room(w, (size_t)xcrs * layout_xcr.wire_bytes);
	if (at)
		records_put(&layout_xcr, at, vcpu->xcrs.xcrs, xcrs);
	le_put_bytes(w, vcpu->xsave.region, sizeof(vcpu->xsave.region));
	return 0;
}

static int xsave_get(struct le_reader *r, struct vcpu_state *vcpu, uint32_t xcrs, struct err *err)
{
	const uint8_t *at;

	if (xcrs > KVM_MAX_XCRS)
		return err_set(err, -EBADMSG, "%u XCRs, at most %d exist", xcrs, KVM_MAX_XCRS);
	vcpu->xcrs = (struct kvm_xcrs){.nr_xcrs = xcrs};
	at = le_take(r, (size_t)xcrs * layout_xcr.wire_bytes);
	if (at)
		records_get(&layout_xcr, vcpu->xcrs.xcrs, at, xcrs);
	le_get_bytes(r, vcpu->xsave.region, sizeof(vcpu->xsave.region));
	return 0;
}

static int fpu_get(const struct section *section, struct le_reader *r, uint8_t *base,
		   struct err *err)
{
	struct vcpu_state *vcpu = (void *)base;
	uint32_t form = (uint32_t)le_get(r, 4);
	uint32_t xcrs = (uint32_t)le_get(r, 4);

	if (form > FPU_XSAVE || (form == FPU_LEGACY && xcrs != 0))
		return err_set(err, -EBADMSG, "unknown form %u with %u XCRs", form, xcrs);
	vcpu->has_xsave = form == FPU_XSAVE;
	if (vcpu->has_xsave)
		return xsave_get(r, vcpu, xcrs, err);
	return record_section_get(section, r, base, err);
}

static const struct section_codec fpu_codec = {fpu_put, fpu_get};

/* --- values that index, shift or size something later --------------------------------------- */

static int vm_check(const void *base, struct err *err)
{
	const struct vm_state *state = base;
	const struct shape shape = {
		.memory_bytes = state->memory_bytes,
		.mailbox_gpa = state->mailbox_gpa,
		.vcpus = state->vcpu_count,
		.cpu_template = state->cpu_template,
	};

	return shape_check(&shape, err);
}

static int irqchip_check(const void *base, struct err *err)
{
	const struct vm_state *state = base;

	for (uint32_t i = 0; i < VM_IRQCHIPS; i++)
		if (state->irqchip[i].chip_id != i)
			return err_set(err, -EBADMSG, "chip %u says that it is chip %u", i,
				       state->irqchip[i].chip_id);
	return 0;
}

/* --- the format ----------------------------------------------------------------------------- */

#define RECORD(id, text, host, member, fields, ...)                                             \
	{.type = SECTION_##id, .name = (text), .codec = &record_codec, .layout = &(fields),     \
	 .offset = offsetof(struct host, member), ##__VA_ARGS__}

#define LIST(id, text, host, member, counter, fields, most)                                     \
	{.type = SECTION_##id, .name = (text), .codec = &list_codec, .layout = &(fields),       \
	 .offset = offsetof(struct host, member), .count_offset = offsetof(struct host, counter), \
	 .max = (most)}

static const struct section vm_sections[] = {
	{.type = SECTION_VM, .name = "vm", .codec = &record_codec, .layout = &layout_vm,
	 .check = vm_check},
	LIST(CPUID, "cpuid", vm_state, cpuid, cpuid_count, layout_cpuid, VM_CPUID_MAX),
	RECORD(IRQCHIP, "irqchip", vm_state, irqchip, layout_irqchip, .check = irqchip_check),
	RECORD(PIT, "pit", vm_state, pit, layout_pit),
	RECORD(CLOCK, "clock", vm_state, clock, layout_clock),
	{.type = SECTION_DEVICES, .name = "devices", .codec = &devices_codec,
	 .max = VM_DEVICES_MAX},
};

static const struct section vcpu_sections[] = {
	RECORD(REGS, "regs", vcpu_state, regs, layout_regs),
	RECORD(SREGS, "sregs", vcpu_state, sregs, layout_sregs),
	{.type = SECTION_FPU, .name = "fpu", .codec = &fpu_codec, .layout = &layout_fpu,
	 .offset = offsetof(struct vcpu_state, fpu)},
	RECORD(LAPIC, "lapic", vcpu_state, lapic, layout_lapic),
	RECORD(MP_STATE, "mp_state", vcpu_state, mp_state, layout_mp_state),
	RECORD(EVENTS, "events", vcpu_state, events, layout_events),
	RECORD(DEBUGREGS, "debugregs", vcpu_state, debugregs, layout_debugregs),
	LIST(MSRS, "msrs", vcpu_state, msrs, msr_count, layout_msr, VM_MSRS_MAX),
};

enum { SECTION_VERSION = 1 }; /* of every type so far */

static uint32_t section_count(uint32_t vcpus)
{
	return ARRAY_SIZE(vm_sections) + vcpus * ARRAY_SIZE(vcpu_sections);
}

/* --- encoding ------------------------------------------------------------------------------- */

static void section_seal(uint8_t *at, size_t bytes)
{
	uint64_t checksum = checksum64(at + CHECKSUM_BYTES, bytes - CHECKSUM_BYTES);

	memcpy(at, &checksum, sizeof(checksum));
}

static int section_put(const struct section *section, uint32_t instance, struct le_writer *w,
		       const void *base, struct err *err)
{
	static const uint8_t zeros[SECTION_ALIGN];
	struct le_writer head = {.buf = le_room(w, SECTION_HEADER_BYTES),
				 .cap = SECTION_HEADER_BYTES};
	size_t start = w->len, payload;
	int r = 0;

	if (section->check)
		r = section->check(base, err);
	if (r == 0)
		r = section->codec->put(section, w, base, err);
	if (r < 0)
		return err_prefix(err, -EINVAL, "cannot encode state: section '%s'", section->name);

	payload = w->len - start;
	le_put_bytes(w, zeros, -payload % SECTION_ALIGN);
	if (!head.buf || w->bad)
		return err_set(err, -ENOBUFS, "cannot encode state: no room for section '%s'",
			       section->name);
	le_put(&head, 0, CHECKSUM_BYTES);
	le_put(&head, section->type, 4);
	le_put(&head, SECTION_VERSION, 2);
	le_put(&head, instance, 2);
	le_put(&head, payload, 4);
	le_put(&head, 0, 4);
	section_seal(head.buf, SECTION_HEADER_BYTES + w->len - start);
	return 0;
}

static void header_put(uint8_t *at, uint32_t sections, size_t total_bytes)
{
	struct le_writer w = {.buf = at, .cap = HEADER_BYTES};

	le_put(&w, STATE_MAGIC, 8);
	le_put(&w, STATE_VERSION, 4);
	le_put(&w, STATE_FEATURES, 4);
	le_put(&w, sections, 4);
	le_put(&w, 0, 4);
	le_put(&w, total_bytes, 8);
	le_put(&w, checksum64(at, w.len), CHECKSUM_BYTES);
}

int state_encode(const struct vm_state *state, uint8_t *buf, size_t cap, size_t *ret_bytes,
		 struct err *err)
{
	struct le_writer w = {.buf = buf, .cap = cap};
	int r;

	if (!le_room(&w, HEADER_BYTES))
		return err_set(err, -ENOBUFS, "cannot encode state: no room for the header");
	for (size_t i = 0; i < ARRAY_SIZE(vm_sections); i++) {
		r = section_put(&vm_sections[i], 0, &w, state, err);
		if (r < 0)
			return r;
	}
	for (uint32_t vcpu = 0; vcpu < state->vcpu_count; vcpu++)
		for (size_t i = 0; i < ARRAY_SIZE(vcpu_sections); i++) {
			r = section_put(&vcpu_sections[i], vcpu, &w, &state->vcpus[vcpu], err);
			if (r < 0)
				return r;
		}
	header_put(buf, section_count(state->vcpu_count), w.len);
	*ret_bytes = w.len;
	return 0;
}

/* --- decoding ------------------------------------------------------------------------------- */

/* Checks the header; the number of sections is compared when the number of vCPUs is known. */
static int header_get(const uint8_t *buf, size_t bytes, uint32_t *ret_sections, struct err *err)
{
	struct le_reader r = {.buf = buf, .len = bytes};
	uint64_t magic = le_get(&r, 8);
	uint32_t version = (uint32_t)le_get(&r, 4);
	uint32_t features = (uint32_t)le_get(&r, 4);
	uint32_t sections = (uint32_t)le_get(&r, 4);
	uint32_t reserved = (uint32_t)le_get(&r, 4);
	uint64_t total = le_get(&r, 8);
	uint64_t checksum = le_get(&r, CHECKSUM_BYTES);

	if (r.bad)
		return err_set(err, -EBADMSG, "state: header is cut off after %zu bytes", bytes);
	if (magic != STATE_MAGIC)
		return err_set(err, -EBADMSG, "state: this is not a state file (wrong magic)");
	if (checksum != checksum64(buf, HEADER_BYTES - CHECKSUM_BYTES))
		return err_set(err, -EBADMSG, "state: header is damaged (checksum differs)");
	if (version != STATE_VERSION)
		return err_set(err, -EPROTONOSUPPORT,
			       "state: version %u, this program reads version %d", version,
			       STATE_VERSION);
	if (features & ~(uint32_t)STATE_FEATURES)
		return err_set(err, -EPROTONOSUPPORT, "state: unknown features 0x%x",
			       features & ~(uint32_t)STATE_FEATURES);
	if (reserved)
		return err_set(err, -EBADMSG, "state: header: reserved field is not zero");
	if (total != bytes)
		return err_set(err, -EBADMSG, "state: %zu bytes instead of %llu", bytes,
			       (unsigned long long)total);
	*ret_sections = sections;
	return 0;
}

/* What a section says of itself; `payload` is padded to SECTION_ALIGN in the file. */
struct section_view {
	uint32_t type, instance, version, reserved;
	struct le_reader payload;
	size_t padded;
};

/* Takes the next section out of the file and checks that it is whole. */
static int section_take(struct le_reader *r, struct section_view *ret_view, struct err *err)
{
	struct section_view view = {};
	const uint8_t *start = r->buf + r->pos;
	uint64_t checksum = le_get(r, CHECKSUM_BYTES);

	view.type = (uint32_t)le_get(r, 4);
	view.version = (uint32_t)le_get(r, 2);
	view.instance = (uint32_t)le_get(r, 2);
	view.payload.len = le_get(r, 4);
	view.reserved = (uint32_t)le_get(r, 4);
	view.padded = view.payload.len + -view.payload.len % SECTION_ALIGN;
	view.payload.buf = le_take(r, view.padded);
	if (r->bad)
		return err_set(err, -EBADMSG, "cut off");
	if (checksum != checksum64(start + CHECKSUM_BYTES,
				   SECTION_HEADER_BYTES - CHECKSUM_BYTES + view.padded))
		return err_set(err, -EBADMSG, "damaged (checksum differs)");
	*ret_view = view;
	return 0;
}

static int section_view_check(const struct section *section, uint32_t instance,
			      const struct section_view *view, struct err *err)
{
	if (view->type != section->type || view->instance != instance)
		return err_set(err, -EBADMSG, "section of type %u, instance %u in its place",
			       view->type, view->instance);
	if (view->version != SECTION_VERSION)
		return err_set(err, -EPROTONOSUPPORT, "version %u, this program reads version %d",
			       view->version, SECTION_VERSION);
	if (view->reserved)
		return err_set(err, -EBADMSG, "reserved field is not zero");
	for (size_t i = view->payload.len; i < view->padded; i++)
		if (view->payload.buf[i])
			return err_set(err, -EBADMSG, "padding is not zero");
	return 0;
}

static int section_read(const struct section *section, uint32_t instance, struct le_reader *r,
			void *base, struct err *err)
{
	struct section_view view = {};
	int result = section_take(r, &view, err);

	if (result < 0)
		return result;
	result = section_view_check(section, instance, &view, err);
	if (result < 0)
		return result;
	result = section->codec->get(section, &view.payload, base, err);
	if (result < 0)
		return result;
	if (view.payload.bad || view.payload.pos != view.payload.len)
		return err_set(err, -EBADMSG, "%zu bytes do not fit its contents",
			       view.payload.len);
	return section->check ? section->check(base, err) : 0;
}

static int section_failed(const struct section *section, uint32_t instance, int code,
			  struct err *err)
{
	if (section->type < SECTION_FIRST_OF_VCPU)
		return err_prefix(err, code, "state: section '%s'", section->name);
	return err_prefix(err, code, "state: section '%s' of vCPU %u", section->name, instance);
}

static int sections_get(const struct section *sections, size_t count, uint32_t instance,
			struct le_reader *r, void *base, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		int result = section_read(&sections[i], instance, r, base, err);

		if (result < 0)
			return section_failed(&sections[i], instance, result, err);
	}
	return 0;
}

int state_decode(struct vm_state *ret_state, const uint8_t *buf, size_t bytes, struct err *err)
{
	struct le_reader r = {.buf = buf, .len = bytes, .pos = HEADER_BYTES};
	uint32_t sections = 0;
	int result;

	result = header_get(buf, bytes, &sections, err);
	if (result < 0)
		return result;
	result = sections_get(vm_sections, ARRAY_SIZE(vm_sections), 0, &r, ret_state, err);
	if (result < 0)
		return result;
	if (sections != section_count(ret_state->vcpu_count))
		return err_set(err, -EBADMSG, "state: %u sections, %u vCPUs need %u", sections,
			       ret_state->vcpu_count, section_count(ret_state->vcpu_count));
	for (uint32_t vcpu = 0; vcpu < ret_state->vcpu_count; vcpu++) {
		result = sections_get(vcpu_sections, ARRAY_SIZE(vcpu_sections), vcpu, &r,
				      &ret_state->vcpus[vcpu], err);
		if (result < 0)
			return result;
	}
	if (r.pos != r.len)
		return err_set(err, -EBADMSG, "state: %zu bytes left over", r.len - r.pos);
	return 0;
}
