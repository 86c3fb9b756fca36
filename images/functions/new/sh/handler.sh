#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A function as a program that is started for each request: the request on its standard input, the
# response on its standard output. A status other than 0 fails the request. Build it on an image
# that has /bin/sh, and call it:
#
#	quark build . -t hello --image docker.io/library/busybox:stable
#	quark invoke hello -d world
name=$(cat)
echo "hello, ${name:-nobody}"
