"""Each target on its corpus (what was found and mended, among others), on its seeds, and on what hypothesis thinks of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.bounds import survive
from tests.security.fuzz.targets import TARGETS, seeds

CORPUS = Path(__file__).with_name("corpus")


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_in_the_corpus_ends_well(name: str) -> None:
    texts = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))] + seeds().get(name, [])
    assert texts
    survive(lambda: [TARGETS[name](text) for text in texts], seconds=20, mebibytes=128, suite="fuzz")


@pytest.mark.parametrize("name", TARGETS)
def test_what_hypothesis_makes_of_the_seeds_ends_well(name: str) -> None:
    known = st.sampled_from([*seeds().get(name, []), b""])

    @settings(max_examples=int(os.environ.get("VSSPC_EXAMPLES", "60")), deadline=None, suppress_health_check=list(HealthCheck))
    @given(known, st.data())
    def bent(seed: bytes, data: st.DataObject) -> None:
        text = bytearray(seed)
        for _ in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.integers(0, len(text)))
            text[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
        TARGETS[name](bytes(text))

    bent()


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_end_well(name: str, data: bytes) -> None:
    TARGETS[name](data)
