"""A hub on this machine: the few addresses that huggingface_hub asks to make a repository, commit to it and read it."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from huggingface_hub import constants, hf_api
from typing_extensions import override

TOKEN = "hf_test"
OWNER = "me"


class Repository:
    """Branches of commits, each of which is the files as they were."""

    def __init__(self, private: bool) -> None:
        self.private = private
        self.commits: dict[str, dict[str, bytes]] = {}
        self.messages: list[str] = []
        self.branches: dict[str, str] = {}
        self.commit({}, "initial commit", "main")

    def commit(self, files: dict[str, bytes], message: str, branch: str) -> str:
        before = self.commits.get(self.branches.get(branch, ""), {})
        oid = hashlib.sha1(f"{len(self.commits)}".encode()).hexdigest()
        self.commits[oid] = before | files
        self.branches[branch] = oid
        self.messages.append(message)
        return oid

    def find(self, revision: str) -> str | None:
        return self.branches.get(revision, revision if revision in self.commits else None)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.branches["main"]]


class FakeHub(ThreadingHTTPServer):
    """The server; files of weights are sent by the protocol of LFS, others within the commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, format: str, *args: Any) -> None:
        self.server.requests.append(f"{self.command} {self.path}")

    def answer(self, status: int = 200, value: Any = None, headers: dict[str, str] | None = None) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status: int, code: str = "") -> None:
        self.answer(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code or "refused"})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def may_write(self, owner: str) -> bool:
        return owner == OWNER and self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path).strip("/"), self.body()
        match path.split("/"):
            case ["api", "validate-yaml"]:
                metadata = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
                self.answer(200 if isinstance(metadata, dict) else 400, {"errors": [], "warnings": []})
            case ["api", "repos", "create"]:
                self.create(json.loads(body))
            case ["api", "models", owner, name, kind, revision]:
                if not self.may_write(owner):
                    return self.refuse(403)
                self.change(self.server.repositories[f"{owner}/{name}"], f"{owner}/{name}", kind, revision, body)
            case [_, _, "info", "lfs", "objects", "batch"]:
                objects = json.loads(body)["objects"]
                made = [
                    item | {"actions": {"upload": {"href": f"{self.server.url}/lfs/{item['oid']}"}}} for item in objects
                ]
                self.answer(200, {"transfer": "basic", "objects": made})
            case _:
                self.refuse(404)

    def create(self, wanted: dict[str, Any]) -> None:
        hub_id = f"{wanted['organization']}/{wanted['name']}"
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401)
        elif not self.may_write(wanted["organization"]):
            self.refuse(403)
        elif hub_id in self.server.repositories:
            self.answer(409, {"url": f"{self.server.url}/{hub_id}"})
        else:
            self.server.repositories[hub_id] = Repository(wanted.get("visibility") == "private")
            self.answer(200, {"url": f"{self.server.url}/{hub_id}"})

    def change(self, repository: Repository, hub_id: str, kind: str, revision: str, body: bytes) -> None:
        if kind == "branch":
            is_new = revision not in repository.branches
            repository.branches.setdefault(revision, repository.branches["main"])
            return self.answer(200 if is_new else 409, {})
        if kind == "preupload":
            modes = [
                {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular"}
                for file in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": [mode | {"shouldIgnore": False} for mode in modes]})
        files: dict[str, bytes] = {}
        message = ""
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                files[value["path"]] = self.server.objects[value["oid"]]
        oid = repository.commit(files, message, revision)
        self.answer(200, {"commitUrl": f"{self.server.url}/{hub_id}/commit/{oid}", "commitOid": oid})

    def do_PUT(self) -> None:
        content = self.body()
        self.server.objects[hashlib.sha256(content).hexdigest()] = content
        self.answer(200, {})

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        owner, name, *rest = parts[2:] if is_api else parts
        repository = self.server.repositories.get(f"{owner}/{name}")
        if repository is None:
            return self.refuse(404, "RepoNotFound")
        oid = repository.find(rest[1] if rest else "main")
        if oid is None:
            return self.refuse(404, "RevisionNotFound")
        files = repository.commits[oid]
        if not is_api:
            return self.send_file(files.get("/".join(rest[2:])), oid)
        if rest[:1] == ["tree"]:
            folder = "".join(f"{part}/" for part in rest[2:])
            tree = [
                {"type": "file", "path": path, "size": len(of), "oid": _oid(of)}
                for path, of in files.items()
                if path.startswith(folder)
            ]
            return self.answer(200, tree) if tree or not folder else self.refuse(404, "EntryNotFound")
        self.answer(200, {"id": f"{owner}/{name}", "sha": oid, "private": repository.private, "siblings": []})

    do_HEAD = do_GET

    def send_file(self, content: bytes | None, commit: str) -> None:
        if content is None:
            return self.refuse(404, "EntryNotFound")
        self.answer(200, content, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": commit})


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def fake_hub(monkeypatch: pytest.MonkeyPatch, cache: object) -> Iterator[FakeHub]:
    """Starts a hub, and makes huggingface_hub take it for the real one."""
    with FakeHub() as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(hf_api.api, "endpoint", hub.url)  # of functions such as list_repo_files
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", f"{cache}/no-token")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        try:
            yield hub
        finally:
            hub.shutdown()
