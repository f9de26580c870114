"""BackupPC's real web pages without a web server: its config editor, and a direct restore as a browser asks for it.

The CGI program is plain Perl that takes a request in its environment and on its standard input (CGI/1.1) and prints a
page; Debian's setuid wrapper around it is for a web server that runs as somebody else. What JavaScript does in a browser
(it fills hidden fields before a form is sent) is done here, and nothing else: every field comes from the page before.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from urllib.parse import unquote, urlencode

from vsspc.lab.backuppc import BackupPC, BackupPCError

# The columns of pc/HOST/restores (BackupPC 4.4, lib/BackupPC/Storage/Text.pm, RestoreFields).
RESTORE_FIELDS = (
    "num", "startTime", "endTime", "result", "errorMsg", "nFiles", "size", "tarCreateErrs", "xferErrs",
)  # fmt: skip


class PageError(BackupPCError):
    """The page is BackupPC's error page, and this is what it says."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a page, as a browser would send it: `fields` by name in the page's order.

    `boxes` are the values of its check boxes that are not ticked, by name.
    """

    name: str
    fields: Mapping[str, str]
    boxes: Mapping[str, str]

    def filled(self, **changes: str) -> Form:
        """Return the form with fields changed. Raise KeyError for one that the page does not have."""
        for name in changes:
            if name not in self.fields:
                raise KeyError(f"the form {self.name!r} has no field {name}")
        return replace(self, fields={**self.fields, **changes})

    def ticked(self, *names: str) -> Form:
        """Return the form with check boxes ticked."""
        return replace(self, fields={**self.fields, **{name: self.boxes[name] for name in names}})


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its title, its words without markup, its HTML, and its forms."""

    title: str
    text: str
    html: str
    forms: tuple[Form, ...]

    def form(self, name: str) -> Form:
        """Return the form of that name. Raise PageError when the page has none."""
        for form in self.forms:
            if form.name == name:
                return form
        raise PageError(f"the page {self.title!r} has no form {name!r}: {self.text[-1000:]}")


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What became of one direct restore: the row of pc/HOST/restores, and the log that its page shows."""

    number: int
    ok: bool
    error: str
    files: int
    transfer_errors: int
    log: str


class Cgi:
    """The pages of a running `backuppc`, as `user` sees them (REMOTE_USER; `admin` may do everything)."""

    def __init__(self, backuppc: BackupPC, user: str = "admin") -> None:
        self._backuppc = backuppc
        self._user = user
        config = backuppc.root / "etc" / "config.pl"
        text = config.read_text(encoding="utf-8")
        rule = "$Conf{CgiAdminUsers} = 'admin';\n"
        if rule not in text:
            head, end, _ = text.rpartition("1;")
            config.write_text(f"{head}{rule}{end}\n", encoding="utf-8")

    # Requests

    def get(self, **query: str) -> Page:
        """Open a page (`action="hostInfo", host="winbox"`). Raise PageError when BackupPC shows its error page."""
        return self._request("GET", urlencode(query), b"")

    def send(self, form: Form | Mapping[str, str], **query: str) -> Page:
        """Send a form, or the fields of one. Raise PageError when BackupPC shows its error page."""
        fields = form.fields if isinstance(form, Form) else form
        return self._request("POST", urlencode(query), urlencode(fields).encode("ascii"))

    # The config editor

    def editor(self, host: str = "") -> Form:
        """Open the editor of a host's settings (of config.pl without a host), and return its form.

        A setting NAME is the field `v_zZ_NAME`, a list's item N `v_zZ_NAME_zZ_N`; a host's form has the box
        `override_NAME`, ticked when the host's own file sets it.
        """
        return self.get(action="editConfig", **({"host": host} if host else {})).form("editForm")

    def save(self, form: Form) -> Page:
        """Press Save in the editor: BackupPC rewrites the file."""
        host = form.fields["host"]
        pressed = form.filled(saveAction="Save", modified="1")
        return self.send(pressed, action="editConfig", **({"host": host} if host else {}))

    # Direct restores

    def request_restore(
        self,
        host: str,
        number: int,
        share: str,
        folder: str = "/",
        names: Sequence[str] | None = None,
        *,
        to_share: str | None = None,
        to_folder: str | None = None,
    ) -> Page:
        """Go through the pages of a direct restore: tick, choose, confirm. Return the last one ("Reply from server").

        `names` are ticked among what `folder` of the share of backup `number` shows; None ticks all. `to_share` and
        `to_folder` are typed over what the page suggests: the same share, the folder that the names have in common.
        """
        browsed = self.get(action="browse", host=host, num=str(number), share=share, dir=folder).form("form1")
        ticks = {name: unquote(value).rpartition("/")[2] for name, value in browsed.boxes.items() if name.startswith("fcb")}
        wanted = [box for box, name in ticks.items() if names is None or name in names]
        if not wanted or (names is not None and len(wanted) != len(names)):
            raise BackupPCError(f"{folder} of {share} shows {sorted(ticks.values())}, not {names}")
        options = self.send(browsed.ticked(*wanted)).form("direct")
        if to_share is not None:
            options = options.filled(shareDest=to_share)
        if to_folder is not None:
            options = options.filled(pathHdr=to_folder)
        return self.send(self.send(options).form("RestoreForm").filled(action="Restore"))

    def restore(
        self,
        host: str,
        number: int,
        share: str,
        folder: str = "/",
        names: Sequence[str] | None = None,
        *,
        to_share: str | None = None,
        to_folder: str | None = None,
        within: float = 120.0,
    ) -> RestoreResult:
        """Ask for a direct restore (see request_restore), and wait until BackupPC says how it ended."""
        before = len(self.restores(host))
        page = self.request_restore(host, number, share, folder, names, to_share=to_share, to_folder=to_folder)
        if "ok: requested restore" not in page.text:
            raise BackupPCError(f"{host}: the server refused the restore: {page.text}")
        return self.restored(host, before, within=within)

    def restored(self, host: str, before: int, within: float = 120.0) -> RestoreResult:
        """Wait until there is a restore more than `before`, and its program has ended; return it."""
        deadline = time.monotonic() + within
        while len(self.restores(host)) <= before or self._restoring(host):
            if time.monotonic() > deadline:
                raise BackupPCError(f"{host}: the restore did not end within {within:g} s")
            time.sleep(0.05)
        return self.restores(host)[-1]

    def restores(self, host: str) -> list[RestoreResult]:
        """Return every restore that BackupPC remembers for a host, oldest first."""
        try:
            lines = (self._backuppc.root / "top" / "pc" / host / "restores").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [self._result(host, dict(zip(RESTORE_FIELDS, line.split("\t"), strict=False))) for line in lines if line]

    # Inside

    def _result(self, host: str, row: Mapping[str, str]) -> RestoreResult:
        log = self._backuppc.root / "top" / "pc" / host / f"RestoreLOG.{row['num']}.z"
        return RestoreResult(
            number=int(row["num"]),
            ok=row["result"] == "ok",
            error=unquote(row["errorMsg"]),
            files=int(row["nFiles"] or 0),
            transfer_errors=int(row["xferErrs"] or 0),
            log=self._run("bin/BackupPC_zcat", str(log)).stdout.decode(errors="replace") if log.exists() else "",
        )

    def _restoring(self, host: str) -> bool:
        wanted = re.compile(rf"/BackupPC_restore .*{re.escape(host)} ")
        return any(wanted.search(command + " ") for command in self._backuppc.processes().values())

    def _request(self, method: str, query: str, body: bytes) -> Page:
        environment = {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "REQUEST_METHOD": method,
            "QUERY_STRING": query,
            "SCRIPT_NAME": "/backuppc/index.cgi",
            "SERVER_NAME": "localhost",
            "REMOTE_USER": self._user,
            "REMOTE_ADDR": "127.0.0.1",
        }
        if method == "POST":
            environment |= {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": str(len(body))}
        done = self._run("lib/realindex.cgi", environment=environment, body=body)
        headers, _, html = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n").partition("\n\n")
        if "text/html" not in headers.lower():
            raise BackupPCError(f"the CGI program printed no page: {done.stdout[:500]!r} {done.stderr[-2000:]!r}")
        page = _read(html)
        if done.returncode or page.title.startswith("BackupPC: Error"):
            raise PageError(f"{page.title}: {page.text[-2000:]}")
        return page

    def _run(
        self, program: str, *arguments: str, environment: Mapping[str, str] | None = None, body: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        root = self._backuppc.root
        return subprocess.run(
            [*self._backuppc.as_user, "/usr/bin/perl", str(root / "share" / program), *arguments],
            env={"PATH": "/bin", "LANG": "C.UTF-8", "VSSPC_LAB_BACKUPPC": str(root), **(environment or {})},
            cwd="/",
            input=body,
            capture_output=True,
            timeout=60,
            check=False,
        )


def _read(html: str) -> Page:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    text = " ".join(" ".join(reader.words).split())
    return Page(" ".join(reader.title.split()), text, html, tuple(form for form in reader.forms()))


class _Reader(HTMLParser):
    """Reads what matters of BackupPC's pages, in whose tables a form is not nested as HTML wants it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.words: list[str] = []
        self._forms: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self._silent = 0  # within script or style
        self._in_title = False
        self._area: tuple[str, list[str]] | None = None
        self._select: tuple[str, list[tuple[str, bool]]] | None = None
        self._option_text = False  # an option without a value has its text for one
        self._open = False

    def forms(self) -> Iterator[Form]:
        for name, fields, boxes in self._forms:
            yield Form(name, fields, boxes)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        present = {key for key, _ in attrs}
        if tag in ("script", "style"):
            self._silent += 1
        elif tag == "title":
            self._in_title = True
        elif tag == "form":
            self._forms.append((given.get("name", ""), {}, {}))
            self._open = True
        elif tag == "input":
            self._input(given, present)
        elif tag == "textarea":
            self._area = (given.get("name", ""), [])
        elif tag == "select":
            self._select = (given.get("name", ""), [])
        elif tag == "option" and self._select is not None:
            self._select[1].append((given.get("value", ""), "selected" in present))
            self._option_text = "value" not in present

    def _input(self, given: Mapping[str, str], present: set[str]) -> None:
        kind = given.get("type", "text").lower()
        if kind in ("submit", "button", "reset", "image") or "name" not in present:
            return
        if kind in ("checkbox", "radio") and "checked" not in present:
            if kind == "checkbox" and self._open:
                self._forms[-1][2][given["name"]] = given.get("value", "on")
            return
        self._set(given["name"], given.get("value", "on" if kind in ("checkbox", "radio") else ""))

    def _set(self, name: str, value: str) -> None:
        if self._open and name:
            self._forms[-1][1][name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._silent -= 1
        elif tag == "title":
            self._in_title = False
        elif tag == "form":
            self._open = False
        elif tag == "textarea" and self._area is not None:
            self._set(self._area[0], "".join(self._area[1]).removeprefix("\n"))
            self._area = None
        elif tag == "select" and self._select is not None:
            name, options = self._select
            chosen = [value for value, selected in options if selected] or [value for value, _ in options[:1]]
            if chosen:
                self._set(name, chosen[-1])
            self._select, self._option_text = None, False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif self._area is not None:
            self._area[1].append(data)
        elif self._select is not None and self._option_text:
            value, selected = self._select[1].pop()
            self._select[1].append((value + data.strip(), selected))
        elif not self._silent:
            self.words.append(data)
