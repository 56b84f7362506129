"""oras' client for Python (PyPI: oras) pushes to a registry and gets it back: python3 registry-oras.py HOST:PORT"""

import hashlib
import os
import sys
import tempfile

import oras.client

host = sys.argv[1]
work, back = tempfile.mkdtemp(), tempfile.mkdtemp()
os.chdir(work)
content = b"of oras\n"
with open("a.txt", "wb") as file:
    file.write(content)
client = oras.client.OrasClient(insecure=True, tls_verify=False)
target = f"{host}/art/fact:1"
assert client.push(target=target, files=["a.txt"]).status_code == 201
assert [open(path, "rb").read() for path in client.pull(target=target, outdir=back)] == [content]
assert client.get_tags(f"{host}/art/fact") == ["1"]
layers = client.get_manifest(target)["layers"]
assert layers[0]["digest"] == "sha256:" + hashlib.sha256(content).hexdigest(), layers
print("oras: good")
