/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libimage: digests, media types, manifests, configurations, the store's record.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "image_priv.h"

#define HEX64 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define EMPTY "sha256:" HEX64
#define OTHER "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar+gzip"
#define DESCRIPTOR(type, more) \
	"{\"mediaType\":\"" type "\",\"digest\":\"" EMPTY "\",\"size\":5" more "}"
#define MANIFEST_TEXT(more)                                                           \
	"{\"schemaVersion\":2,\"config\":" DESCRIPTOR(CONFIG_TYPE, "") ",\"layers\":[" \
		DESCRIPTOR(LAYER_TYPE, "") "]" more "}"

static void digests_are_parsed_strictly(void **state)
{
	static const char *const bad[] = { "", "sha256", "sha256:", HEX64, EMPTY "0",
					   "sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b93"
					   "4ca495991b7852b855",
					   "sha512:" HEX64, "md5:d41d8cd98f00b204e9800998ecf8427e",
					   "sha256:../../../../../../../../../../../../../../../../"
					   "../../../../a" };
	struct digest digest;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(digest_parse(EMPTY, &digest, &err), 0);
	assert_string_equal(digest_hex(&digest), HEX64);
	assert_int_equal(digest_parse("sha512:" HEX64 HEX64, &digest, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(digest_parse(bad[i], &digest, &err), -EBADMSG);
}

/* FIPS 180-2, appendix B.1 and C.1: "abc". */
static void digests_are_right(void **state)
{
	struct digest digest;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(
		digest_parse("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff"
			     "61f20015ad",
			     &digest, &err),
		0);
	assert_int_equal(digest_check(&digest, "abc", 3, &err), 0);
	assert_int_equal(digest_check(&digest, "abd", 3, &err), -EBADMSG);
	assert_int_equal(
		digest_parse("sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee"
			     "64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac9"
			     "4fa54ca49f",
			     &digest, &err),
		0);
	assert_int_equal(digest_check(&digest, "abc", 3, &err), 0);
	assert_int_equal(digest_check(&digest, "", 0, &err), -EBADMSG);
	assert_int_equal(digest_sha256("", 0, &digest, &err), 0);
	assert_string_equal(digest.text, EMPTY);
}

static int decode(const char *text, enum media_kind kind, struct manifest *manifest,
		  struct err *err)
{
	return image_manifest_decode(text, strlen(text), kind, manifest, err);
}

static void manifest_is_decoded(void **state)
{
	cleanup_manifest struct manifest manifest = { .count = 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(decode(MANIFEST_TEXT(""), MEDIA_NONE, &manifest, &err), 0);
	assert_int_equal(manifest.kind, MEDIA_MANIFEST);
	assert_int_equal(manifest.count, 1);
	assert_int_equal(manifest.items[0].kind, MEDIA_LAYER_GZIP);
	assert_int_equal(manifest.items[0].bytes, 5);
	assert_string_equal(manifest.config.digest.text, EMPTY);
}

static void manifests_are_refused(void **state)
{
	static const struct {
		const char *text, *says;
		enum media_kind kind;
	} bad[] = {
		{ MANIFEST_TEXT(",\"manifests\":[]"), "neither index nor manifest, or both", 0 },
		{ MANIFEST_TEXT(""), "another media type", MEDIA_INDEX },
		{ MANIFEST_TEXT(",\"mediaType\":\"a/b\""), "unknown media type 'a/b'", 0 },
		{ MANIFEST_TEXT("") "x", "bytes behind", 0 },
		{ MANIFEST_TEXT(",\"x\":\"\\u0000\""), "NUL", 0 },
		{ "{\"schemaVersion\":1,\"fsLayers\":[]}", "schema 1", 0 },
		{ "{\"schemaVersion\":3,\"manifests\":[]}", "of schema 3", 0 },
		{ "{\"schemaVersion\":2,\"config\":{}}", "has no \"digest\"", 0 },
		{ "{\"schemaVersion\":2,\"config\":" DESCRIPTOR("a/b", "") "}",
		  "no container image", 0 },
		{ "{\"manifests\":[" DESCRIPTOR("a/b", ",\"platform\":[]") "]}", "not an object",
		  0 },
		{ "{\"manifests\":[null]}", "no object", 0 },
		{ "[]", "neither index", 0 },
		{ "7", "neither object nor array", 0 },
		{ "", "not JSON", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct manifest manifest;
		struct err err = { 0 };

		assert_int_equal(decode(bad[i].text, bad[i].kind, &manifest, &err), -EBADMSG);
		if (!strstr(err.message, bad[i].says))
			fail_msg("'%s' instead of '%s'", err.message, bad[i].says);
	}
}

/* Every beginning of a manifest is refused, none is read beyond. */
static void manifest_prefixes_are_refused(void **state)
{
	const char *text = MANIFEST_TEXT("");

	(void)state;
	for (size_t bytes = 0; bytes < strlen(text); bytes++) {
		cleanup_free char *copy = malloc(bytes ? bytes : 1);
		struct manifest manifest;

		memcpy(copy, text, bytes);
		assert_int_equal(image_manifest_decode(copy, bytes, MEDIA_NONE, &manifest, NULL),
				 -EBADMSG);
	}
}

#define INDEX_TYPE "application/vnd.oci.image.manifest.v1+json"
#define ON(os, arch, more) \
	",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"" more "}"
#define TAG(tag) ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" tag "\"}"

static void platform_is_selected(void **state)
{
	const char *text = "{\"schemaVersion\":2,\"manifests\":["
		DESCRIPTOR(INDEX_TYPE, ON("unknown", "unknown", "")) ","
		DESCRIPTOR(INDEX_TYPE, ON("linux", "arm64", "")) ","
		DESCRIPTOR(INDEX_TYPE, ON("linux", "amd64", ",\"variant\":\"v3\"")) ","
		DESCRIPTOR(INDEX_TYPE, ON("linux", "amd64", "") TAG("one")) "]}";
	cleanup_manifest struct manifest index = { .count = 0 };
	const struct descriptor *found = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(decode(text, MEDIA_NONE, &index, &err), 0);
	assert_int_equal(manifest_select(&index, true, NULL, &found, &err), 0);
	assert_ptr_equal(found, &index.items[3]);
	assert_int_equal(manifest_select(&index, true, "one", &found, &err), 0);
	assert_int_equal(manifest_select(&index, true, "two", &found, &err), -ENOENT);
	index.count = 3;
	assert_int_equal(manifest_select(&index, true, NULL, &found, &err), -EBADMSG);
}

static void several_images_need_a_tag(void **state)
{
	const char *text = "{\"schemaVersion\":2,\"manifests\":["
		DESCRIPTOR(INDEX_TYPE, TAG("one")) "," DESCRIPTOR(INDEX_TYPE, TAG("x/y:two")) "]}";
	cleanup_manifest struct manifest index = { .count = 0 };
	const struct descriptor *found = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(decode(text, MEDIA_NONE, &index, &err), 0);
	/* One image under two tags is one. */
	assert_int_equal(manifest_select(&index, true, NULL, &found, &err), 0);
	assert_int_equal(digest_parse(OTHER, &index.items[1].digest, &err), 0);
	assert_int_equal(manifest_select(&index, true, NULL, &found, &err), -EINVAL);
	assert_int_equal(manifest_select(&index, false, NULL, &found, &err), 0);
	assert_int_equal(manifest_select(&index, true, "two", &found, &err), 0);
	assert_ptr_equal(found, &index.items[1]);
}

static const char config_text[] =
	"{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":"
	"[\"" EMPTY "\"]},\"config\":{\"Env\":[\"A=B\",\"\"],\"Cmd\":null,\"Entrypoint\":[\"/x\"],"
	"\"WorkingDir\":\"w\",\"User\":\"a:b\",\"StopSignal\":\"\",\"ExposedPorts\":{\"80/tcp\":{}},"
	"\"Labels\":{\"l\":\"m\",\"n\":\"\"}}}";

static void record_keeps_the_configuration(void **state)
{
	cleanup_image struct image *image = image_new();
	cleanup_image struct image *again = NULL;
	cleanup_diff_ids struct diff_ids ids = { 0 };
	cleanup_free char *text = NULL, *twice = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(config_decode(config_text, sizeof(config_text) - 1, image, &ids, &err), 0);
	assert_int_equal(ids.count, 1);
	assert_string_equal(image->working_dir, "/w");
	assert_null(image->stop_signal);
	memcpy(image->id, HEX64, IMAGE_ID_BYTES);
	image->root_digest[0] = 0x0123456789abcdef;
	image->root_digest[1] = UINT64_MAX;
	image->root_bytes = 1ull << 50;
	image->uid = INT32_MAX;
	image->groups = calloc(2, sizeof(*image->groups));
	image->groups[1] = 7;
	image->group_count = 2;
	assert_int_equal(image_json_encode(image, &text, &err), 0);
	assert_int_equal(image_json_decode(text, strlen(text), "/f", &again, &err), 0);
	assert_string_equal(again->root_path, "/f/root.erofs");
	assert_string_equal(again->label_names[1], "n");
	assert_string_equal(again->label_values[0], "m");
	assert_null(again->cmd[0]);
	assert_int_equal(again->root_bytes, 1ull << 50);
	assert_int_equal(again->root_digest[1], UINT64_MAX);
	assert_int_equal(again->uid, INT32_MAX);
	assert_int_equal(image_json_encode(again, &twice, &err), 0);
	assert_string_equal(text, twice);
}

static void configurations_are_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"os\":\"linux\",\"architecture\":\"amd64\"}",
		"{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"x\"}}",
		"{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\","
		"\"diff_ids\":[7]}}",
		"{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\"},"
		"\"config\":[]}",
		"{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\"},"
		"\"config\":{\"Labels\":{\"a\":{}}}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cleanup_image struct image *image = image_new();
		cleanup_diff_ids struct diff_ids ids = { 0 };

		assert_int_equal(config_decode(bad[i], strlen(bad[i]), image, &ids, NULL),
				 -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_parsed_strictly),
		cmocka_unit_test(digests_are_right),
		cmocka_unit_test(manifest_is_decoded),
		cmocka_unit_test(manifests_are_refused),
		cmocka_unit_test(manifest_prefixes_are_refused),
		cmocka_unit_test(platform_is_selected),
		cmocka_unit_test(several_images_need_a_tag),
		cmocka_unit_test(record_keeps_the_configuration),
		cmocka_unit_test(configurations_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
