# Defines or removes DOS device names (drive letters) for shadow copies. Reads what to do from the JSON file that is its
# only argument: {"action": "define"|"remove", "devices": [{"letter": "B:", "target": "\\Device\\..."}]}
# DefineDosDevice (kernel32): 1 = raw target path, 2 = remove, 4 = remove only the exact match.
param([Parameter(Mandatory = $true)][string]$File)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
try {
    $order = Get-Content -LiteralPath $File -Raw | ConvertFrom-Json
    Add-Type -Namespace Vsspc -Name Dos -MemberDefinition @'
[DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)]
public static extern bool DefineDosDevice(uint flags, string device, string target);
'@
    foreach ($one in $order.devices) {
        if ($order.action -eq 'define') {
            if (-not [Vsspc.Dos]::DefineDosDevice(1, $one.letter, $one.target)) {
                exit 1
            }
        } else {
            [void][Vsspc.Dos]::DefineDosDevice(7, $one.letter, $one.target)
        }
    }
    Write-Output 'vsspc-dosdevice: ok'
    exit 0
} catch {
    Write-Output $_.Exception.Message
    exit 1
}
