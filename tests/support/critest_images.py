"""Every image that critest 1.36 pulls, made from Debian packages, for suites that run it without its registries.

What the specs rely on: applets as hard links (masking one must not mask all), ipcs and pgrep, an nginx in the
foreground with /var/run/nginx.pid that logs nowhere, a httpd that prints its command line, a set-user-ID program
that tells its effective uid, and two pause images that differ.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.images import ARCHITECTURE, GROUP, PASSWD, Document, Node, busybox_tree, directory, file, image, tar
from tests.support.registry import Registry

E2E = "e2e-test-images"
STAGING = "k8s-staging-cri-tools"
DIGEST_IMAGE = f"{STAGING}/test-image-digest"
CRITEST_DIGEST = "9700f9a2f5bf2c45f2f605a0bd3bce7cf37420ec9d3ed50ac2758413308766bf"
"""The digest that critest asks DIGEST_IMAGE for. No image of ours can have it: see `critest_with_digest`."""

SHELL_PAUSE = ("/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done")
NGINX_CONF = """daemon off;
user www-data;
worker_processes 1;
pid /var/run/nginx.pid;
error_log /dev/null;
events {}
http {
    access_log off;
    server { listen PORT; root /usr/share/nginx/html; }
}
"""


def push_all(registry: Registry) -> Mapping[str, str]:
    """Fill `registry` with all of them; returns digests by "repository:tag".

    Repositories are named as behind their registry's host, which `Registry.registries_conf` maps here.
    """
    digests: dict[str, str] = {}
    for name, document in images():
        repository, _, tag = name.rpartition(":")
        digests[name] = registry.push(repository, document, tag)
    return digests


def images() -> Iterator[tuple[str, Document]]:
    """("repository:tag", image) pairs."""
    base = tar(base_tree())
    environment = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    busybox = image(base, config={**environment, "Cmd": ["sh"]})
    yield f"{E2E}/busybox:1.29-2", busybox
    for tag in ("1.35.0-glibc", "1-uclibc", "1", "1-glibc", "1-musl"):
        yield f"docker/library/busybox:{tag}", image(base, _mark(tag), config={**environment, "Cmd": ["sh"]})
    for version in ("3.9", "3.10"):
        yield f"pause:{version}", image(base, _mark(version), config={"Entrypoint": list(SHELL_PAUSE)})
    nginx = program(nginx_binary()) | {
        "usr/share/nginx/html/index.html": file("<title>nginx</title>\n"),
        "var/log/nginx/": directory(),
        "var/lib/nginx/": directory(uid=33, gid=33),
    }
    entrypoint = ["/usr/sbin/nginx", "-e", "/dev/null", "-c", "/etc/nginx.conf"]
    for name, port in ((f"{E2E}/nginx:1.14-2", 80), (f"{STAGING}/hostnet-nginx-{ARCHITECTURE}:latest", 12003)):
        conf = {"etc/nginx.conf": file(NGINX_CONF.replace("PORT", str(port)))}
        yield name, image(base, nginx | conf, config={**environment, "Entrypoint": entrypoint})
    httpd = "echo \"Command line: 'httpd -f -p 80'\"; exec httpd -f -p 80 -h /var/www"
    page = {"var/www/index.html": file("<html><body><h1>It works!</h1></body></html>\n")}
    yield f"{E2E}/httpd:2.4.39-4", image(base, page, config={**environment, "Cmd": ["/bin/sh", "-c", httpd]})
    # id(1) tells the effective uid; the shell only words it.
    nnp = program(Path("/usr/bin/id"), "nnp", 0o4755)
    words = ["/bin/sh", "-c", 'echo "Effective uid: $(/nnp -u)"']
    yield f"{E2E}/nonewprivs:1.3", image(base, nnp, config={**environment, "Entrypoint": words})
    yield from _staging(base, environment)


def _staging(base: bytes, environment: Mapping[str, object]) -> Iterator[tuple[str, Document]]:
    users = {"uid": "1002", "username": "www-data", "uid-group": "1003:users", "username-group": "www-data:100"}
    for name, user in users.items():
        config = {**environment, "User": user, "Cmd": ["sh"]}
        yield f"{STAGING}/test-image-user-{name}:latest", image(base, config=config)
    members = {
        "etc/passwd": file(PASSWD + "default-user:x:1000:1000:Linux User,,,:/home/default-user:/bin/sh\n"),
        "etc/group": file(GROUP + "default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n"),
    }
    config = {**environment, "User": "1000", "Cmd": ["sh"]}
    yield f"{STAGING}/test-image-predefined-group:latest", image(base, members, config=config)
    for name in ("latest:latest", "tag:test", "tag:all", "digest:latest", "1:latest", "2:latest", "3:latest"):
        # Their default command has to run: the image identifier specs start a container with it.
        yield f"{STAGING}/test-image-{name}", image(base, _mark(name), config={**environment, "Cmd": list(SHELL_PAUSE)})
    same = image(base, _mark("tags"), config={**environment, "Cmd": list(SHELL_PAUSE)})
    for tag in ("1", "2", "3"):
        yield f"{STAGING}/test-image-tags:{tag}", same


def critest_with_digest(critest: Path, target: Path, digest: str) -> Path:
    """A copy of the critest binary that asks for `digest` ("sha256:<hex>") where it asks for CRITEST_DIGEST.

    It is a string constant of the binary, and both have the same length.
    """
    binary = critest.read_bytes()
    wanted = CRITEST_DIGEST.encode()
    if wanted not in binary:
        raise RuntimeError(f"{critest} does not hold {CRITEST_DIGEST}: it is another version than 1.36")
    target.write_bytes(binary.replace(wanted, digest.removeprefix("sha256:").encode()))
    target.chmod(0o755)
    return target


def base_tree() -> dict[str, Node]:
    """busybox, with ipcs and pgrep, which Debian's busybox has not."""
    tree = busybox_tree()
    for name in ("ipcs", "pgrep"):
        tree |= program(Path(shutil.which(name) or f"/usr/bin/{name}"))
    return tree


def program(binary: Path, name: str = "", mode: int = 0o755) -> dict[str, Node]:
    """A program of this machine as `name` (its own path by default), and the libraries that it loads."""
    tree = {name or _below_root(str(binary)): file(binary.read_bytes(), mode)}
    listing = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    # "name => path (address)", and the loader as "path (address)"
    for library in re.findall(r"(/\S+) \(0x", listing):
        tree[library.lstrip("/")] = file(Path(os.path.realpath(library)).read_bytes(), 0o755)
    return tree


def _below_root(path: str) -> str:
    """Where a file of the machine or of an unpacked package belongs in a root."""
    return path[path.rindex("/usr/") :].lstrip("/") if "/usr/" in path else path.lstrip("/")


def nginx_binary() -> Path:
    """nginx as the Debian package has it, fetched with apt and unpacked aside, since installing it would start it."""
    installed = shutil.which("nginx")
    if installed:
        return Path(installed)
    aside = Path(tempfile.gettempdir()) / f"criserver-test-packages-{os.getuid()}"
    aside.mkdir(mode=0o700, exist_ok=True)
    binary = aside / "usr/sbin/nginx"
    if not binary.exists():
        subprocess.run(["apt-get", "download", "-q", "nginx"], cwd=aside, capture_output=True, check=True)
        (package,) = aside.glob("nginx_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(aside)], capture_output=True, check=True)
        package.unlink()
    return binary


def _mark(text: str) -> dict[str, Node]:
    """A layer that makes an image differ from the others."""
    return {"etc/image-mark": file(text + "\n")}
