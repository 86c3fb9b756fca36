/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct image: its strings and lists are never NULL, but for stop_signal and root_path.
 */
#include "image_priv.h"

void strings_free(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

static bool list_init(char ***list)
{
	*list = calloc(1, sizeof(**list));
	return *list != NULL;
}

struct image *image_new(void)
{
	cleanup_image struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	if (!list_init(&image->entrypoint) || !list_init(&image->cmd) || !list_init(&image->env) ||
	    !list_init(&image->label_names) || !list_init(&image->label_values) ||
	    !list_init(&image->exposed_ports))
		return NULL;
	image->working_dir = strdup("/");
	image->user_name = strdup("");
	if (!image->working_dir || !image->user_name)
		return NULL;
	return TAKE_PTR(image);
}

struct image *image_free(struct image *image)
{
	if (!image)
		return NULL;
	strings_free(image->entrypoint);
	strings_free(image->cmd);
	strings_free(image->env);
	strings_free(image->label_names);
	strings_free(image->label_values);
	strings_free(image->exposed_ports);
	free(image->root_path);
	free(image->working_dir);
	free(image->user_name);
	free(image->groups);
	free(image->stop_signal);
	free(image);
	return NULL;
}

void image_list_free(struct image **images, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)image_free(images[i]);
	free(images);
}
