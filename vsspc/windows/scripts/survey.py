"""The jobs `survey` and `writers`: what a check asks of the host. They write nothing but their own output.

`writers` is a job of its own: VSS may keep whoever asks it waiting, and what the other one told must not be lost with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from vsspc.core.words import Volume
from vsspc.windows.scripts.language import POWERSHELL, SYSTEM, job

# bandit takes every TOKEN for a password; these are a key and a value of the registry.
TOKEN_FILTER = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"  # nosec B105
"""Where LocalAccountTokenFilterPolicy is (Microsoft, "User Account Control and remote restrictions")."""
TOKEN_FILTER_VALUE = "LocalAccountTokenFilterPolicy"  # nosec B105
ASR_RULE = "d1e49aac-8f56-4280-b9ba-993a6d77406c"
""""Block process creations originating from PSExec and WMI commands" (Microsoft, "Attack surface reduction rules reference")."""
_RULES = r"Windows Defender Exploit Guard\ASR\Rules"
ASR_KEYS = (rf"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender\{_RULES}", rf"HKLM\SOFTWARE\Microsoft\Windows Defender\{_RULES}")
"""Where rules are: set by a policy, set on the host itself (Set-MpPreference)."""
LANGUAGE_MODE = "Write-Output ('language=' + $ExecutionContext.SessionState.LanguageMode)"
SECTIONS = ("filter", "asr", "language", "markers", "end")


def survey(volumes: Sequence[Volume]) -> str:
    """Return the job that asks for policies, PowerShell's mode, and folders of ours in the roots of these volumes."""
    reg = rf'"{SYSTEM}\reg.exe" query'
    return job(
        "survey",
        [
            "echo section=filter",
            f'{reg} "{TOKEN_FILTER}" /v {TOKEN_FILTER_VALUE}',
            "echo section=asr",
            *(f'{reg} "{key}" /v {ASR_RULE}' for key in ASR_KEYS),
            "echo section=language",
            f'{POWERSHELL} -Command "{LANGUAGE_MODE}"',
            "echo section=markers",
            *(rf'if exist "{one.name}\vsspc-*" dir /b "{one.name}\vsspc-*"' for one in volumes),
            "echo section=end",
        ],
    )


def writers() -> str:
    """Return the job. Its output is vssadmin's own; vsspc.windows.writers reads it."""
    return job("writers", [rf'"{SYSTEM}\vssadmin.exe" list writers', "exit /b %errorlevel%"])
