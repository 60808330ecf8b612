"""Creates a file's objects at a Kubernetes API server, and reads each back. Run through helm.sh, which has its YAML.

Ends with 1 where one is refused, or comes back without a part that was sent.
"""

import json
import ssl
import sys
import time
import urllib.error
import urllib.request

import yaml

# A kind that was just defined is served within a moment.
WAIT_S = 20


class Server:
    def __init__(self, kubeconfig):
        with open(kubeconfig, encoding="utf-8") as file:
            config = yaml.safe_load(file)
        self.url = config["clusters"][0]["cluster"]["server"]
        user = config["users"][0]["user"]
        self.context = ssl.create_default_context(cafile=config["clusters"][0]["cluster"]["certificate-authority"])
        self.context.load_cert_chain(user["client-certificate"], user["client-key"])

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
            return json.load(answer)

    def path_of(self, thing):
        """Where objects of its kind live; waits for a kind that is not served yet."""
        version = thing["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                kinds = self.ask(root)["resources"]
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
                kinds = []
            found = next((kind for kind in kinds if kind["kind"] == thing["kind"] and "/" not in kind["name"]), None)
            if found:
                namespace = f"/namespaces/{thing['metadata']['namespace']}" if found["namespaced"] else ""
                return f"{root}{namespace}/{found['name']}"
            if time.monotonic() > deadline:
                sys.exit(f"the server knows no {thing['kind']} of {version}")
            time.sleep(0.1)


def lost(sent, kept, path=""):
    """The parts of what was sent that did not come back; defaults may have been added."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        return [part for key, value in sent.items() for part in lost(value, kept.get(key), f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        pairs = enumerate(zip(sent, kept))
        return [part for index, (one, other) in pairs for part in lost(one, other, f"{path}[{index}]")]
    # None and an empty mapping say nothing.
    return [] if sent == kept or not sent and not kept else [path]


def main():
    kubeconfig, path = sys.argv[1:]
    server = Server(kubeconfig)
    with open(path, encoding="utf-8") as file:
        things = [thing for thing in yaml.safe_load_all(file) if thing]
    failures = 0
    for thing in things:
        name = f"{thing['kind']}/{thing['metadata']['name']}"
        try:
            place = server.path_of(thing)
            server.ask(place, thing)
            missing = lost(thing, server.ask(f"{place}/{thing['metadata']['name']}"))
        except urllib.error.HTTPError as error:
            failures += 1
            print(f"{name}: refused: {json.load(error)['message']}")
            continue
        failures += bool(missing)
        print(f"{name}: " + (f"came back without {', '.join(missing)}" if missing else "created"))
    return int(failures > 0 or not things)


sys.exit(main())
