/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program in the image of tests/kvm/image.c: its exit status says that it ran.
 */
int main(void)
{
	return 42;
}
