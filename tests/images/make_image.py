# SPDX-License-Identifier: Apache-2.0
"""Makes images of all kinds, also such as no tool would make.

A layer is a list of (name, attributes) for tarfile, in the order given; an Image holds layers and
what its documents say, each part of which a test may change before it is written.
"""
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
INDEX, MANIFEST, CONFIG = OCI + "index.v1+json", OCI + "manifest.v1+json", OCI + "config.v1+json"
TAR, GZIP, ZSTD = OCI + "layer.v1.tar", OCI + "layer.v1.tar+gzip", OCI + "layer.v1.tar+zstd"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def file(name, data=b"", **attributes):
    return (name, tarfile.REGTYPE, dict(attributes, data=data))


def folder(name, **attributes):
    return (name, tarfile.DIRTYPE, dict({"mode": 0o755}, **attributes))


def symlink(name, target, **attributes):
    return (name, tarfile.SYMTYPE, dict(attributes, linkname=target))


def hardlink(name, target, **attributes):
    return (name, tarfile.LNKTYPE, dict(attributes, linkname=target))


def node(name, kind, **attributes):
    return (name, kind, attributes)


def tar(entries, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind, attributes in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            data = attributes.get("data", b"")
            info.size = len(data)
            for key, value in attributes.items():
                if key != "data":
                    setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


COMPRESS = {TAR: lambda data: data, GZIP: lambda data: gzip.compress(data, mtime=0), ZSTD: zstd}


class Image:
    """`layers`: lists of entries, or tars as bytes."""

    def __init__(self, layers, config=None, media=GZIP, tag="latest", **platform):
        self.tars = [one if isinstance(one, bytes) else tar(one) for one in layers]
        self.media = [media] * len(self.tars)
        self.blobs = [COMPRESS[media](one) if media in COMPRESS else one for one in self.tars]
        self.config = {
            "architecture": "amd64", "os": "linux", "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [sha256(one) for one in self.tars]},
        }
        self.config.update(platform)
        self.config_media = CONFIG
        self.tag = tag
        self.missing = set()      # digests of blobs that are left out
        self.change = lambda part, value: value  # of "manifest", "index", "descriptor", "layer"

    def manifest(self):
        layers = [self.change("layer", {"mediaType": media, "digest": sha256(blob),
                                        "size": len(blob)})
                  for media, blob in zip(self.media, self.blobs)]
        config = self.config_bytes()
        return self.change("manifest", {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": self.config_media, "digest": sha256(config),
                       "size": len(config)},
            "layers": layers})

    def config_bytes(self):
        return as_bytes(self.config)

    def descriptor(self, manifest):
        return self.change("descriptor", {
            "mediaType": MANIFEST, "digest": sha256(manifest), "size": len(manifest),
            "annotations": {"org.opencontainers.image.ref.name": self.tag}})

    def all_blobs(self):
        manifest = as_bytes(self.manifest())
        blobs = {sha256(one): one for one in self.blobs + [self.config_bytes(), manifest]}
        return {name: data for name, data in blobs.items() if name not in self.missing}, manifest

    def write_layout(self, path, others=()):
        """An OCI layout; `others` are further images in it."""
        os.makedirs(path + "/blobs/sha256")
        descriptors = []
        for image in (self, *others):
            blobs, manifest = image.all_blobs()
            descriptors.append(image.descriptor(manifest))
            for name, data in blobs.items():
                write(path + "/blobs/sha256/" + name.partition(":")[2], data)
        write(path + "/oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        write(path + "/index.json", as_bytes(self.change("index", {
            "schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors})))
        return path

    def write_docker_archive(self, path, names=("test:latest",), compress=lambda data: data):
        """What `docker save` wrote until its version 24."""
        config = self.config_bytes()
        config_name = hashlib.sha256(config).hexdigest() + ".json"
        entries, layers = [file(config_name, config)], []
        for i, one in enumerate(self.tars):
            layers.append("%064x/layer.tar" % i)
            entries += [folder("%064x" % i), file(layers[-1], one)]
        manifest = self.change("docker", [{"Config": config_name, "RepoTags": list(names),
                                           "Layers": layers}])
        entries.append(file("manifest.json", as_bytes(manifest)))
        entries = self.change("archive", entries)
        write(path, compress(tar(entries)))
        return path


def as_bytes(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def write(path, data):
    with open(path, "wb") as out:
        out.write(data)


def tar_folder(path, to):
    """A layout as an archive."""
    with tarfile.open(to, "w") as archive:
        archive.add(path, arcname=".")
    return to
