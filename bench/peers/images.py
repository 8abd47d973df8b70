"""What bench/image sets beside ours: the files that other images consist of, and the tools that pack one."""

import contextlib
import email
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time

# What a base image brings before the service does, and Python with the libraries that its modules in use need.
BASE = ["base-files", "ca-certificates", "libc6", "libgcc-s1", "netbase", "tzdata"]
PYTHON = ["libbz2-1.0", "libcrypt1", "libexpat1", "libffi8", "liblzma5", "libpython3.11-minimal",
          "libpython3.11-stdlib", "libssl3", "libuuid1", "media-types", "python3.11-minimal", "zlib1g"]
PACKAGES = ["fastapi==0.165.0", "uvicorn==0.54.0", "asyncpg==0.32.0", "jinja2==3.1.6"]
# What nobody misses in an image.
UNUSED = ["usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/share/bug", "usr/share/ca-certificates"]
TAG = "slipway-bench-image"
CONTAINERFILE = 'FROM scratch\nCOPY rootfs/ /\nUSER 65532:65532\nENTRYPOINT ["/links"]\nCMD ["serve"]\n'
PATIENCE = 600


class Failed(Exception):
    pass


def run(*command, cwd=None, env=None):
    """Milliseconds, stdout, stderr. It must succeed."""
    started = time.monotonic()
    try:
        ran = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Failed(f"no end of {command[0]} within {PATIENCE} s") from None
    took = (time.monotonic() - started) * 1000
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).decode(errors="replace").strip()[-600:]
        raise Failed(f"{' '.join(map(str, command))}: exit {ran.returncode}: {said}")
    return took, ran.stdout.decode(errors="replace"), ran.stderr.decode(errors="replace")


def gzipped(data):
    """Bytes of `gzip -9n`."""
    return len(subprocess.run(["gzip", "-9n"], input=data, capture_output=True, check=True).stdout)


def unpacked(tree):
    return sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())


def layer(tree, work):
    """Bytes of the whole tree as one layer, tar and `gzip -9n`: sorted, of root, without times."""
    def plain(entry):
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry
    name = work / "layer.tar"
    with tarfile.open(name, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            tar.add(path, path.relative_to(tree), recursive=False, filter=plain)
    size = gzipped(name.read_bytes())
    name.unlink()
    return size


def blob(oci, digest):
    return oci / "blobs" / digest.replace(":", "/")


def image(oci):
    """The manifest's digest, the bytes of all blobs, and the layers' blobs, of an OCI layout with one image."""
    [entry] = json.loads((oci / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(oci, entry["digest"]).read_text())
    layers = [blob(oci, one["digest"]) for one in manifest["layers"]]
    parts = [blob(oci, entry["digest"]), blob(oci, manifest["config"]["digest"]), *layers]
    return entry["digest"], sum(path.stat().st_size for path in parts), layers


def layer_of(layers, name):
    """The layer that has this file: its tar, and its bytes compressed."""
    for path in layers:
        with tarfile.open(path) as tar:
            if any(entry.name.lstrip("./") == name for entry in tar):
                return gzip.decompress(path.read_bytes()), path.stat().st_size
    raise Failed(f"no layer has {name}")


def packed_binary(layers):
    """The sum of /links in these layers."""
    for path in layers:
        with tarfile.open(path) as tar:
            for entry in tar:
                if entry.name.lstrip("./") == "links":
                    return hashlib.sha256(tar.extractfile(entry).read()).hexdigest()
    return None


# The files of other images

def debian(folder, names):
    """These packages, unpacked as an image has them, and their versions. Downloaded once."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Failed("its files come from Debian's packages: run this on Debian or one of its kin")
    debs, tree = folder / "debs", folder / "rootfs"
    if not all(list(debs.glob(f"{name}_*.deb")) for name in names):
        shutil.rmtree(debs, ignore_errors=True)
        debs.mkdir(parents=True)
        run("apt-get", "download", *names, cwd=debs)
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    # Where Debian 12 and newer have links.
    for name in ["bin", "lib", "lib64", "sbin"]:
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    versions = {}
    for name in names:
        [deb] = debs.glob(f"{name}_*.deb")
        # Through tar, which follows the links above; `dpkg -x` would replace them.
        piped = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", tree], stdin=piped.stdout,
                       check=True)
        piped.stdout.close()
        if piped.wait() != 0:
            raise Failed(f"dpkg-deb could not unpack {deb.name}")
        versions[name] = run("dpkg-deb", "-f", deb, "Version")[1].strip()
    bundle = tree / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    authorities = sorted((tree / "usr/share/ca-certificates").rglob("*.crt"))
    bundle.write_bytes(b"".join(path.read_bytes() for path in authorities))
    for name in UNUSED:
        shutil.rmtree(tree / name, ignore_errors=True)
    (tree / "etc/passwd").write_text("root:x:0:0::/:/\nnonroot:x:65532:65532::/:/\n")
    (tree / "etc/group").write_text("root:x:0:\nnonroot:x:65532:\n")
    return tree, versions


def works(tree, *command):
    """Whoever measures an image that does not work measures nothing."""
    prefix = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    try:
        run(*prefix, "chroot", tree, *command, env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"})
    except OSError as why:
        raise Failed(f"cannot be tried: {why}") from None


def distroless(folder, binary):
    tree, versions = debian(folder, BASE)
    shutil.copy2(binary, tree / "links")
    works(tree, "/links", "--version")
    return tree, f"libc6 {versions['libc6']}"


def python(folder):
    """python3.11-minimal, its library and what a service like this one imports."""
    tree, versions = debian(folder, BASE + PYTHON)
    app = folder / "app"
    done = folder / "packages"
    if not (done.exists() and done.read_text() == str(PACKAGES)):
        shutil.rmtree(app, ignore_errors=True)
        # For the interpreter of the image, whatever runs this script. No .pyc: that is smaller.
        run(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:",
            "--python-version", "3.11", "--implementation", "cp",
            "--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64", "--target", app, *PACKAGES)
        done.write_text(str(PACKAGES))
    shutil.copytree(app, tree / "app")
    works(tree, "/usr/bin/python3.11", "-c",
          "import sys; sys.path.insert(0, '/app'); import asyncpg, fastapi, jinja2, ssl, uvicorn")
    named = []
    for package in PACKAGES:
        name = package.split("==")[0]
        [info] = app.glob(f"{name}-*.dist-info")
        meta = email.message_from_string((info / "METADATA").read_text())
        named.append(f"{name} {meta['Version']}")
    return tree, f"python3.11-minimal {versions['python3.11-minimal']}, " + ", ".join(named)


# The tools that pack

class Packer:
    """Each round gets the same files. What it made must have the binary of that round."""

    def __init__(self, work):
        if not shutil.which(self.TOOL):
            raise Failed(f"missing: {self.GET}")
        self.work = work / self.TOOL
        self.context = self.work / "context"
        self.context.mkdir(parents=True)
        (self.context / "Dockerfile").write_text(CONTAINERFILE)

    def prepare(self, rootfs, number):
        shutil.rmtree(self.context / "rootfs", ignore_errors=True)
        shutil.copytree(rootfs, self.context / "rootfs")
        self.number = number

    def close(self):
        pass


class Buildah(Packer):
    TOOL, GET = "buildah", "apt-get install --no-install-recommends buildah"
    LABEL = "buildah bud, push oci:"

    def version(self):
        return " ".join(run("buildah", "--version")[1].split()[:3]).replace(" version", "") + ", vfs, chroot"

    def buildah(self, *arguments):
        places = ["--root", self.work / "root", "--runroot", self.work / "runroot", "--storage-driver", "vfs"]
        return run("buildah", *places, *arguments)[0]

    def pack(self):
        took = self.buildah("bud", "--isolation", "chroot", "--no-cache", "--timestamp", "0", "--tag", TAG,
                            self.context)
        return took + self.buildah("push", TAG, f"oci:{self.work}/oci-{self.number}:{TAG}")

    def packed(self):
        oci = self.work / f"oci-{self.number}"
        _, size, layers = image(oci)
        found = packed_binary(layers)
        shutil.rmtree(oci)
        return found, size

    def close(self):
        with contextlib.suppress(Failed, OSError):
            self.buildah("rmi", "--all", "--force")


class Docker(Packer):
    TOOL, GET = "docker", "apt-get install docker.io, and a daemon that runs"
    LABEL = "docker build, classic"
    ENV = {**os.environ, "DOCKER_BUILDKIT": "0"}

    def __init__(self, work):
        super().__init__(work)
        self.made = []
        self.version()

    def version(self):
        try:
            text = "{{.Server.Version}}"
            server = run("docker", "version", "--format", text)[1].strip()
            return f"docker {server}, {run('docker', 'info', '--format', '{{.Driver}}')[1].strip()}"
        except Failed as why:
            raise Failed(f"missing: {self.GET}: {why}") from None

    def pack(self):
        took, said, _ = run("docker", "build", "--quiet", "--tag", TAG, self.context, env=self.ENV)
        self.made.append(said.strip().splitlines()[-1])
        return took

    def packed(self):
        """docker keeps layers as files: there is no compressed size."""
        container = run("docker", "create", self.made[-1])[1].strip()
        try:
            copy = self.work / "links"
            run("docker", "cp", f"{container}:/links", copy)
            return hashlib.sha256(copy.read_bytes()).hexdigest(), None
        finally:
            run("docker", "rm", container)

    def close(self):
        for made in self.made:
            with contextlib.suppress(Failed, OSError):
                run("docker", "rmi", "--force", made)


PEERS = [Buildah, Docker]
