"""Everything else that a person or a program may ask of vsspc: reports, JSON, configuration, deployment."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.faults.conftest import HOST, ended

from .site import Site, site
from .spellings import make_password, password

KEEP = ("--set", 'bundle_on_host="keep"')


@pytest.fixture(scope="module")
def made() -> Iterator[Site]:
    with site() as one:
        yield one


def test_reports_and_deployments(made: Site) -> None:
    at = ("--host", made.lab.address)
    with made.search() as search:

        def say(*arguments: str, code: int = 0) -> str:
            output = ended(made.vsspc(*arguments), code)
            search.say(" ".join(arguments), output)
            return output

        say("deploy", HOST, *at)
        search.say("pre", ended(made.pre(), 0))
        for arguments in ([], ["--json"], ["--json", HOST]):
            say("status", *arguments)
        say("sweep", HOST, *at)
        say("sweep", "--waiting", "--all")
        report = say("selftest", HOST, *at, "--json", *KEEP)
        json.loads(report[report.index("{\n") :])  # the log's lines come before it: both streams are one here
        made.lab.inject("daemon-empty")
        say("selftest", HOST, *at, code=43)
        made.lab.clear()
        for arguments in (["show", HOST], ["show", HOST, "--explain"], ["check"], ["schema"]):
            say("config", *arguments)
        say("deploy", HOST, *at, "--remove")
        made.assert_clean()
    assert search.found() == []
    assert search.one_time


def test_a_password_that_stands_where_it_does_not_belong_is_not_repeated(made: Site) -> None:
    wrong = make_password()
    config = made.config.read_text("utf-8")
    meant = [f"password = {json.dumps(wrong)}", f"credentials = {{ password = {json.dumps(wrong)} }}"]
    with made.search() as search:
        search.know(password("a password in the configuration", wrong), "file */vsspc.toml")
        for line in meant:
            for spoiled in (f"{line}\n{config}", config.replace("[defaults]\n", f"[defaults]\n{line}\n")):
                made.config.write_text(spoiled, "utf-8")
                search.say("config check", ended(made.vsspc("config", "check"), 10))
            search.say("pre", ended(made.pre(), 10))
        made.config.write_text(config, "utf-8")
    assert search.found() == []


def test_an_account_in_the_environment_is_handed_on_to_nobody(made: Site) -> None:
    secret = made.lab.password
    made.more = {"VSSPC_USERNAME": made.lab.username, "VSSPC_PASSWORD": secret}
    try:
        with made.search("environment of *vsspc*") as search:
            search.say("pre", ended(made.pre(), 0))
            search.say("post", ended(made.post(), 0))
    finally:
        made.more = {}
    assert search.found() == []
    given = f"VSSPC_PASSWORD={secret}".encode()
    having = {tuple(command.split(b"\0")) for command, environment in search.seen[1] if given in environment}
    assert having, "the search sees it where it was given"
    assert not [command for command in having if b"rsync" in command[0]]
