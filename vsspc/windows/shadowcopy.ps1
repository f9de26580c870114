# Makes or deletes persistent shadow copies by Win32_ShadowCopy. Reads what to do from the JSON file that is its only
# argument: {"action": "create", "volumes": ["C:\\"], "record": "copies.json"} or {"action": "delete", "record": ...}
# The record has the id of each shadow copy, one a line, before anything else is done with it; deleted are these alone.
# Cmdlets only: they are allowed in the constrained language mode too.
param([Parameter(Mandatory = $true)][string]$File)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
try {
    $order = Get-Content -LiteralPath $File -Raw | ConvertFrom-Json
    if ($order.action -eq 'create') {
        foreach ($volume in $order.volumes) {
            $wanted = @{ Volume = $volume; Context = 'ClientAccessible' }
            $made = Invoke-CimMethod -ClassName Win32_ShadowCopy -MethodName Create -Arguments $wanted
            if ($made.ReturnValue -ne 0) {
                $told = @{ returned = $made.ReturnValue; volume = $volume } | ConvertTo-Json -Compress
                Write-Host 'vsspc-shadowcopy:' $told
                exit 1
            }
            try {
                Add-Content -LiteralPath $order.record -Value $made.ShadowID -Encoding ASCII
            } catch {
                Get-CimInstance -ClassName Win32_ShadowCopy | Where-Object ID -EQ $made.ShadowID | Remove-CimInstance
                throw
            }
            $copy = Get-CimInstance -ClassName Win32_ShadowCopy | Where-Object ID -EQ $made.ShadowID
            $told = @{ returned = 0; volume = $volume; id = $copy.ID; device = $copy.DeviceObject } | ConvertTo-Json -Compress
            Write-Host 'vsspc-shadowcopy:' $told
        }
    } else {
        foreach ($id in Get-Content -LiteralPath $order.record) {
            Get-CimInstance -ClassName Win32_ShadowCopy | Where-Object ID -EQ $id | Remove-CimInstance
        }
    }
    exit 0
} catch {
    Write-Output $_.Exception.Message
    exit 1
}
