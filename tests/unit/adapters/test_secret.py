"""Secrets do not show."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import pytest

from vsspc.core.secret import Credentials, Secret

TEXT = "Xyzzy-7"


def test_a_secret_shows_itself_nowhere_but_to_who_asks() -> None:
    secret = Secret(TEXT)
    assert secret.reveal() == TEXT
    shown = f"{secret} {secret!r} {secret:>10} {secret!s} {[secret]} {Credentials('u', secret)}"
    assert TEXT not in shown
    assert "***" in shown
    assert TEXT not in repr(Credentials("u", secret, "D"))


def test_a_secret_cannot_be_copied_pickled_or_dumped() -> None:
    for dump in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            dump(Secret(TEXT))


def test_a_secret_in_a_log_record_does_not_show(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("with %s and %r", Secret(TEXT), Credentials("u", Secret(TEXT)))
    assert TEXT not in caplog.text


def test_secrets_compare_by_their_text() -> None:
    assert Secret(TEXT) == Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
    assert hash(Secret(TEXT)) == hash(Secret(TEXT))


@pytest.mark.parametrize(
    ("username", "domain", "account"),
    [
        ("backup", "", "backup"),
        ("backup", ".", "backup"),
        ("backup", "CORP", "CORP\\backup"),
        ("CORP\\backup", "OTHER", "CORP\\backup"),
        ("backup@corp.example", "CORP", "backup@corp.example"),
    ],
)
def test_an_account_has_its_domain_once(username: str, domain: str, account: str) -> None:
    assert Credentials(username, Secret(TEXT), domain).account == account
