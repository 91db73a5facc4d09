"""What an installation brings along on a minimal Debian, counted by apt and the same for both packages."""

import re
from dataclasses import dataclass

from conftest import bring_up
from figures import Row

# What everybody needs who shows virtual machines in browsers, and so is not counted.
GIVEN = ("qemu-system-x86", "apache2", "novnc")
SUITE = ("--suite", "bookworm", "--flavour", "minimal", "--net")


@dataclass
class Load:
    """What comes new."""

    packages: int
    # MB
    download: float
    disk: float


def install(places, thorough):
    """Packages, download and disk, with and without what is only recommended."""
    rows = []
    with bring_up(places.deb, "bench-minimal", *SUITE) as bed:
        bed.run("apt-get", "update", timeout=600)
        bed.put(places.deb, "/root/")
        for recommends in (True, False):
            ours = brought(bed, f"/root/{places.deb.name}", recommends)
            # With the newer one beside it, apt takes the archive's by its origin.
            theirs = brought(bed, "qemu-web-desktop/bookworm", recommends)
            rows += install_rows("with Recommends" if recommends else "without Recommends", ours, theirs)
    return rows


def install_rows(name, ours, theirs):
    return [
        Row(f"install {name}: new packages", "", ours.packages, peer=theirs.packages).at_most(theirs.packages / 10),
        Row(f"install {name}: download", "MB", ours.download, peer=theirs.download).at_most(theirs.download / 10),
        Row(f"install {name}: disk", "MB", ours.disk, peer=theirs.disk).at_most(theirs.disk / 10),
    ]


def brought(bed, package, recommends):
    """What this package needs beyond what everybody needs."""
    given = chosen(bed, GIVEN, recommends)
    new = {name: version for name, version in chosen(bed, (*GIVEN, package), recommends).items() if name not in given}
    sizes = [size_of(bed, package, name, version) for name, version in new.items()]
    return Load(len(new), sum(size for size, _ in sizes) / 1e6, sum(disk for _, disk in sizes) / 1e6)


def chosen(bed, packages, recommends):
    """What apt would install: names and versions."""
    option = f"APT::Install-Recommends={str(recommends).lower()}"
    told = bed.run("apt-get", "-s", "-o", option, "install", *packages).stdout
    return dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", told, re.M))


def size_of(bed, package, name, version):
    """Bytes to fetch and bytes on disk."""
    if package.startswith("/") and name == "qemu-web-desktop":
        told = bed.run(f"dpkg-deb -f {package} && echo && stat -c 'Size: %s' {package}").stdout
    else:
        told = bed.run("apt-cache", "show", f"{name}={version}").stdout
    field = lambda key: int(re.search(rf"^{key}: (\d+)", told, re.M)[1])
    return field("Size"), field("Installed-Size") * 1024
