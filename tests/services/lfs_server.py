"""Git and Git LFS on one port of this machine: lfs_server.py PORT.

Repositories are below the working folder, and whatever is pushed to Git LFS in its folder `storage`. As on GitHub, both want
the name and the password `me:secret`, and the place of an object wants none.
"""

import os
import subprocess
import sys
from base64 import b64encode

from giftless.app import init_app
from giftless.auth.identity import DefaultIdentity, Permission
from werkzeug.serving import run_simple

ADAPTER = {
    "factory": "giftless.transfer.basic_streaming:factory",
    "options": {
        "storage_class": "giftless.storage.local_storage:LocalStorage",
        "storage_options": {"path": "storage"},
    },
}
CONFIGURATION = {
    "AUTH_PROVIDERS": ["__main__:everyone"],
    "TRANSFER_ADAPTERS": {"basic": ADAPTER},
    "LEGACY_ENDPOINTS": False,
}
CREDENTIALS = "basic " + b64encode(b"me:secret").decode()


def everyone(_request):
    """Whoever is let through below. What giftless has for this purpose forbids single objects."""
    identity = DefaultIdentity(name="me", id="me")
    identity.allow("acme", "delays", Permission.all())
    return identity


lfs = init_app(additional_config=CONFIGURATION)


def git(environ, start_response):
    """What Git's own server of HTTP answers, which is a program of CGI."""
    names = ("CONTENT_TYPE", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD")
    said = {name: environ.get(name, "") for name in names}
    said |= {"GIT_HTTP_EXPORT_ALL": "1", "GIT_PROJECT_ROOT": os.getcwd(), "REMOTE_USER": "me"}
    said |= {name: environ[name] for name in ("HTTP_CONTENT_ENCODING", "HTTP_GIT_PROTOCOL") if name in environ}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    done = subprocess.run(["git", "http-backend"], input=body, env=os.environ | said, check=True, stdout=subprocess.PIPE)
    head, body = done.stdout.split(b"\r\n\r\n", 1)
    headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
    status = next((value for name, value in headers if name == "Status"), "200 OK")
    start_response(status, [(name, value) for name, value in headers if name != "Status"])
    return [body]


def application(environ, start_response):
    path = environ["PATH_INFO"]
    is_object = "/objects/storage/" in path
    if not is_object and environ.get("HTTP_AUTHORIZATION", "").lower() != CREDENTIALS.lower():
        start_response("401 Unauthorized", [("WWW-Authenticate", "Basic")])
        return [b""]
    return (lfs if is_object or "/info/lfs/" in path else git)(environ, start_response)


run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True)
