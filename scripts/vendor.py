"""Fetches what the page of the show is made of besides its own files: htm with Preact, from the npm registry."""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "htm@3.1.1"
SHA256 = "2425b9bee11409177bcabc7f32e319926fc6690c1701c0b257c88bdff2d5ba90"
FILES = {"package/preact/standalone.module.js": "htm-preact.js", "package/LICENSE": "htm-LICENSE.txt"}
VENDOR = Path(__file__).parents[1] / "services" / "gateway" / "web" / "vendor"


def main() -> int:
    """Write the files; 1 if the package is not the one that is known."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", folder, PACKAGE], check=True)  # noqa: S603, S607  the registry's own client
        body = next(Path(folder).glob("*.tgz")).read_bytes()
    if (found := hashlib.sha256(body).hexdigest()) != SHA256:
        print(f"{PACKAGE} has the checksum {found}, not {SHA256}: nothing was written", file=sys.stderr)
        return 1
    with tarfile.open(fileobj=io.BytesIO(body)) as package:
        for inside, name in FILES.items():
            if part := package.extractfile(inside):
                (VENDOR / name).write_bytes(part.read())
    print(f"{PACKAGE} is in {VENDOR}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
