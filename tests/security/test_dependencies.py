"""What vsspc is installed with: locked to versions and to files, within the bounds of setup.cfg, without known holes."""

from __future__ import annotations

import configparser
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).parents[2]
LOCKS = CHECKOUT / "vsspc/packaging/locks"
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")

Lock = dict[NormalizedName, Version]


def read_lock(text: str) -> Lock:
    """Return the packages of a lock and their versions; each must be one version, with the hash of a file at least."""
    found = {}
    for entry in re.split(r"\n(?=[A-Za-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip()):
        name, *hashes = entry.replace("\\\n", "").split()
        package, _, number = name.partition("==")
        assert hashes and all(HASH.fullmatch(one) for one in hashes), entry
        found[canonicalize_name(package)] = Version(number)
    return found


def lock(name: str) -> Lock:
    return read_lock((LOCKS / f"{name}.txt").read_text(encoding="utf-8"))


def needed() -> dict[str, list[Requirement]]:
    """Return what setup.cfg asks for: the product's by "", an extra's by its name."""
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    texts = {"": setup["options"]["install_requires"], **setup["options.extras_require"]}
    return {extra: [Requirement(one) for one in text.split("\n") if one.strip()] for extra, text in texts.items()}


def holes(versions: Lock) -> set[str]:
    """Return the advisories that concern one of these versions."""
    known = tomllib.loads((Path(__file__).parent / "advisories.toml").read_text(encoding="utf-8"))["advisory"]
    return {one["id"] for one in known if versions.get(one["package"], Version("99999")) < Version(one["fixed"])}


def outside(wanted: list[Requirement], versions: Lock) -> list[str]:
    """Return the requirements that a lock does not fulfil."""
    return [str(one) for one in wanted if not one.specifier.contains(versions.get(canonicalize_name(one.name), Version("0")))]


def test_the_locks_are_within_the_bounds_of_setup_cfg() -> None:
    wanted = needed()
    assert outside([one for ones in wanted.values() for one in ones], lock("all")) == []
    assert outside(wanted[""], lock("product")) == []
    assert outside([*wanted[""], *wanted["kerberos"]], lock("kerberos")) == []
    assert outside([*wanted[""], *wanted["keyring"]], lock("keyring")) == []
    for extra in ("kerberos", "keyring", "all"):
        assert lock("product").items() <= lock(extra).items()


def test_every_bound_is_a_lower_one() -> None:
    bounds = [one for ones in needed().values() for one in ones]
    assert [str(one) for one in bounds if [each.operator for each in one.specifier] != [">="]] == []


def test_what_is_tested_is_what_is_locked() -> None:
    assert {name: Version(version(name)) for name in lock("all")} == lock("all")


@pytest.mark.parametrize("name", ["build", "product", "kerberos", "keyring", "all"])
def test_no_locked_version_has_a_known_hole(name: str) -> None:
    assert holes(lock(name)) == set()


def test_no_bound_allows_a_known_hole() -> None:
    lowest = {
        canonicalize_name(one.name): Version(next(iter(one.specifier)).version) for ones in needed().values() for one in ones
    }
    assert holes(lowest) == set()


def test_what_is_looked_at_here_can_be_found_wrong() -> None:
    old = {canonicalize_name("cryptography"): Version("42.0.3")}
    assert holes(old) == {"CVE-2024-26130", "GHSA-h4gh-qq45-vh27", "CVE-2024-12797"}
    assert outside([Requirement("cryptography>=43")], old) == ["cryptography>=43"]
    with pytest.raises(AssertionError):
        read_lock("cryptography==42.0.3\n")
