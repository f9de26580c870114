"""What is found of our service on the host: made, started, and not eaten by a guard. Pure."""

from __future__ import annotations

from vsspc.core.errors import AccessRefused, PayloadBlocked, VsspcError
from vsspc.core.findings import Finding, Level
from vsspc.windows.answers import Survey
from vsspc.windows.scripts.survey import ASR_RULE

SERVICE, ANTIVIRUS, ASR = "service", "antivirus", "ASR rule"
_EXCLUDE = (
    r"Add-MpPreference -ExclusionPath \"$env:SystemRoot\vsspc-*.exe\",\"$env:SystemRoot\vsspc\"    # PowerShell, for Defender;"
    " another antivirus has a list of its own"
).replace('\\"', '"')
_ALLOW = (
    f"Add-MpPreference -AttackSurfaceReductionRules_Ids {ASR_RULE} -AttackSurfaceReductionRules_Actions AuditMode"
    "    # PowerShell; where a policy sets it, in the policy"
)
_EATEN = ("vanished", "no longer there", "malware")
_DENIED = ("may not be run", "Err=0x5", "access denied")
_MODES = {0: "off", 1: "block", 2: "audit", 6: "warn"}
"""Microsoft, "Attack surface reduction rules reference": the modes of a rule."""


def works() -> list[Finding]:
    """Return what is known once a job of ours ran."""
    return [
        Finding(SERVICE, Level.OK, "It was made, started and taken away again; a command ran as LocalSystem."),
        Finding(ANTIVIRUS, Level.OK, "Nothing took our program away."),
    ]


def fails(error: VsspcError) -> list[Finding]:
    """Return what is known when it could not be made, or did not run. One guard hides the other: both are told then."""
    text = error.message[:1].upper() + error.message[1:].rstrip(".") + "."
    hidden = Finding(SERVICE, Level.SKIPPED, f"Not looked at any further: {ANTIVIRUS} has to be in order first.")
    if isinstance(error, PayloadBlocked) and any(word in error.message for word in _EATEN):
        return [hidden, Finding(ANTIVIRUS, Level.FAILED, f"{text} An antivirus took it: no run begins.", _EXCLUDE)]
    if isinstance(error, PayloadBlocked) and any(word in error.message for word in _DENIED):
        says = (
            f"{text} The program is there and may not run: an antivirus, or the rule {ASR_RULE} (“Block process creations"
            " originating from PSExec and WMI commands”), forbids it; which one is in the log “Windows Defender/Operational”,"
            " events 1121 (the rule) and 1116."
        )
        hidden = Finding(SERVICE, Level.SKIPPED, f"Not looked at any further: {ASR} has to be in order first.")
        return [hidden, Finding(ASR, Level.FAILED, says, _ALLOW)]
    if isinstance(error, AccessRefused):
        return [Finding(SERVICE, Level.FAILED, f"{text} No run begins.", error.next_step)]
    return [Finding(SERVICE, Level.FAILED, text, error.next_step)]


def rule(survey: Survey) -> Finding:
    """Say what the ASR rule is set to, where our program ran all the same."""
    mode = _MODES.get(survey.asr or 0, f"mode {survey.asr}")
    if survey.asr in (None, 0):
        return Finding(ASR, Level.OK, "The rule against PSExec-like services is not set.")
    if survey.asr in (1, 6):
        says = (
            f"The rule against PSExec-like services ({ASR_RULE}) is set to {mode}. It let our program through now, and may"
            " not the next time."
        )
        return Finding(ASR, Level.WARNING, says, _ALLOW)
    return Finding(ASR, Level.OK, f"The rule against PSExec-like services is set to {mode}: it blocks nothing.")
