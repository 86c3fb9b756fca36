/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a process can be: what `floor` times the start of.
 */
int main(void)
{
	return 0;
}
