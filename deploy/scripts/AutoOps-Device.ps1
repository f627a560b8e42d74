#Requires -Version 5.1
<#
AutoOps-Device for Windows: checks, installs, verifies and removes one update, restarts the device,
collects evidence, and reports to AutoOps. Runs as SYSTEM. README.md says how to set it up.

Arguments are values and never code: each is checked against a pattern, and none is ever evaluated.
A job is done once: its result is kept under its id, and a repeat only reports it again.
What changes the device is refused outside notBefore .. notAfter (UTC), by this device's clock: a run
that waited for an offline device must not start days later.
#>

# SuperOps puts the runtime variables in front of the script. Nothing above this line may use them.
$given = @{
    mode        = "$mode"
    kb          = "$kb"
    jobId       = "$jobId"
    device      = "$device"
    notBefore   = "$notBefore"
    notAfter    = "$notAfter"
    services    = "$services"
    callbackUrl = "$callbackUrl"
    token       = "$token"
}

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

$StateFolder = Join-Path $env:ProgramData 'AutoOps\Device'
$MaxLog = 4096
# Evidence: most lines of a section, longest line, and how much the receiver takes (base64 of gzip).
$MaxLines = 600
$MaxLine = 500
$MaxEvidence = 262144
$Invariant = [Globalization.CultureInfo]::InvariantCulture
$Log = New-Object System.Text.StringBuilder
# What the report will say; `touched` is true once something on the device may have been changed.
$Report = @{ outcome = 'failed'; exitCode = $null; installed = $null; touched = $false; evidence = '' }

function Write-Step([string] $Text) {
    [void] $Log.AppendLine(('{0} {1}' -f [DateTime]::UtcNow.ToString('HH:mm:ss', $Invariant), $Text))
}

function Set-Outcome([string] $Outcome, $ExitCode) {
    $Report.outcome = $Outcome
    $Report.exitCode = $ExitCode
}

# ---- Arguments ---------------------------------------------------------------------------------

function Deny([string] $Name) {
    # Never the value: it may be the token, or hostile.
    Write-Error -ErrorAction Continue "AutoOps-Device: $Name is not allowed"
    exit 64
}

function Read-Argument([string] $Name, [string] $Pattern) {
    $value = $given[$Name].Trim()
    if ($value -cnotmatch ('\A(?:' + $Pattern + ')\z')) { Deny $Name }
    return $value
}

function Read-Time([string] $Name) {
    $text = Read-Argument $Name '(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z)?'
    if ($text -eq '') { return $null }
    $styles = [Globalization.DateTimeStyles]::AssumeUniversal -bor [Globalization.DateTimeStyles]::AdjustToUniversal
    $time = [DateTime]::MinValue
    if (-not [DateTime]::TryParseExact($text.Substring(0, 19), "yyyy-MM-dd'T'HH:mm:ss", $Invariant, $styles, [ref] $time)) { Deny $Name }
    return $time
}

# Names may hold a `$`, so they travel as base64url without padding: nothing reads that as a variable.
function Read-Services {
    $text = (Read-Argument 'services' '[A-Za-z0-9_-]{0,2000}').Replace('-', '+').Replace('_', '/')
    $text += '=' * ((4 - $text.Length % 4) % 4)
    $names = $null
    try { $names = (New-Object System.Text.UTF8Encoding $false, $true).GetString([Convert]::FromBase64String($text)) }
    catch { Deny 'services' }
    if ($names -cnotmatch '\A(?:[A-Za-z0-9 ._:@$+#-]{1,64}(?:,[A-Za-z0-9 ._:@$+#-]{1,64}){0,19})?\z') { Deny 'services' }
    return $names
}

$Mode = Read-Argument 'mode' 'check|install|reboot|verify|uninstall|evidence'
$Kb = Read-Argument 'kb' '(?:[0-9]{6,8})?'
$JobId = Read-Argument 'jobId' '[A-Za-z0-9._/-]{1,160}'
$DeviceId = Read-Argument 'device' '[A-Za-z0-9_-]{1,40}'
$Opens = Read-Time 'notBefore'
$Closes = Read-Time 'notAfter'
$ServiceNames = Read-Services
$Callback = Read-Argument 'callbackUrl' '(?:https://[A-Za-z0-9.-]+|http://(?:127\.0\.0\.1|localhost))(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?'
$Secret = Read-Argument 'token' '[0-9a-f]{64}'
if ($Kb -eq '' -and @('reboot', 'evidence') -notcontains $Mode) { Deny 'kb' }
if ($null -eq $Closes -and @('install', 'uninstall', 'reboot') -contains $Mode) { Deny 'notAfter' }

function Test-Window {
    $now = [DateTime]::UtcNow
    return ($null -eq $Opens -or $now -ge $Opens) -and ($null -eq $Closes -or $now -le $Closes)
}

# ---- Report ------------------------------------------------------------------------------------

function Get-Sha256([string] $Text) {
    $sha = [Security.Cryptography.SHA256]::Create()
    try { $bytes = $sha.ComputeHash([Text.Encoding]::UTF8.GetBytes($Text)) } finally { $sha.Dispose() }
    return ([BitConverter]::ToString($bytes) -replace '-', '').ToLowerInvariant()
}

function Test-PendingReboot {
    $keys = @(
        'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending',
        'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired'
    )
    foreach ($key in $keys) { if (Test-Path -LiteralPath $key) { return $true } }
    return $false
}

function Get-ServiceStates {
    $states = @()
    if ($ServiceNames -eq '') { return , $states }
    $all = @(Get-Service -ErrorAction SilentlyContinue)
    foreach ($name in $ServiceNames.Split(',')) {
        $name = $name.Trim()
        # Compared as text: Get-Service -Name would read wildcards.
        $found = @($all | Where-Object { $_.Name -eq $name })
        $running = $found.Count -gt 0 -and $found[0].Status -eq 'Running'
        $states += @{ name = $name; running = $running }
    }
    return , $states
}

function Get-Report {
    $text = $Log.ToString()
    if ($text.Length -gt $MaxLog) { $text = $text.Substring($text.Length - $MaxLog) }
    $kbValue = $null
    if ($Kb -ne '') { $kbValue = $Kb }
    $restart = [bool] (Test-PendingReboot)
    $changes = @('install', 'uninstall', 'reboot') -contains $Mode
    $undone = @('failed', 'outside_window') -contains $Report.outcome
    if ($changes -and $undone -and -not $Report.touched) {
        # It ended before anything was done: nobody has to remove or restart anything for it.
        $restart = $false
        if ($Mode -eq 'install' -and $Report.outcome -eq 'failed') { $Report.installed = $false }
    }
    $body = [ordered]@{
        jobId          = $JobId
        device         = $DeviceId
        mode           = $Mode
        kb             = $kbValue
        outcome        = $Report.outcome
        exitCode       = $Report.exitCode
        rebootRequired = $restart
        installed      = $Report.installed
        services       = Get-ServiceStates
        finishedAt     = [DateTime]::UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", $Invariant)
        log            = $text
    }
    if ($Report.evidence -ne '') { $body.evidence = $Report.evidence }
    return ConvertTo-Json -InputObject $body -Depth 4 -Compress
}

# What the receiver answered last.
$SendStatus = 0

# Signs anew for each try: a signature is good for five minutes. True when it was taken.
function Send-Report([string] $Body) {
    $bytes = [Text.Encoding]::UTF8.GetBytes($Body)
    foreach ($pause in @(0, 2, 5, 15, 30, 60)) {
        if ($pause -gt 0) { Start-Sleep -Seconds $pause }
        $stamp = [string] [long] [Math]::Floor(([DateTime]::UtcNow - (New-Object DateTime 1970, 1, 1, 0, 0, 0, ([DateTimeKind]::Utc))).TotalSeconds)
        $hmac = New-Object System.Security.Cryptography.HMACSHA256 -ArgumentList (, [Text.Encoding]::UTF8.GetBytes($Secret))
        try {
            $signed = [byte[]] ([Text.Encoding]::UTF8.GetBytes($stamp + '.') + $bytes)
            $digest = ([BitConverter]::ToString($hmac.ComputeHash($signed)) -replace '-', '').ToLowerInvariant()
        }
        finally { $hmac.Dispose() }
        try {
            $headers = @{ 'x-autoops-timestamp' = $stamp; 'x-autoops-signature' = "v1=$digest" }
            [void] (Invoke-WebRequest -Uri $Callback -Method Post -Body $bytes -ContentType 'application/json' `
                    -Headers $headers -UseBasicParsing -TimeoutSec 20 -MaximumRedirection 0)
            return $true
        }
        catch {
            $status = 0
            $response = $null
            if ($_.Exception.PSObject.Properties['Response']) { $response = $_.Exception.Response }
            if ($null -ne $response) { $status = [int] $response.StatusCode }
            # Nobody waits, or it will never be accepted: trying again changes nothing.
            $script:SendStatus = $status
            if (@(400, 404, 409, 413, 422) -contains $status) { return $false }
        }
    }
    return $false
}

# Whole or not at all.
function Save-Report([string] $Body) {
    [IO.File]::WriteAllText($marker + '.new', $Body, (New-Object System.Text.UTF8Encoding $false))
    Move-Item -LiteralPath ($marker + '.new') -Destination $marker -Force
}

# A receiver that takes no evidence of this size is told that there is none: nobody must wait for it.
function Send-OrShrink([string] $Body) {
    if (Send-Report $Body) { return $true }
    if ($Mode -ne 'evidence' -or $script:SendStatus -ne 413 -or -not $Body.Contains('"evidence":')) { return $false }
    $Report.evidence = ''
    Set-Outcome 'failed' $null
    Write-Step 'the receiver refused the evidence as too large'
    $smaller = Get-Report
    Save-Report $smaller
    return Send-Report $smaller
}

# ---- Updates -----------------------------------------------------------------------------------

function New-Searcher {
    $session = New-Object -ComObject 'Microsoft.Update.Session'
    $session.ClientApplicationID = 'AutoOps'
    $searcher = $session.CreateUpdateSearcher()
    # An approved update stays the approved one, even when a newer one is offered as well.
    $searcher.IncludePotentiallySupersededUpdates = $true
    return @{ session = $session; searcher = $searcher }
}

function Find-Update($Searcher, [string] $Criteria) {
    foreach ($update in $Searcher.Search($Criteria).Updates) {
        foreach ($number in $update.KBArticleIDs) { if ([string] $number -eq $Kb) { return $update } }
    }
    return $null
}

# Packages of this KB; those of cumulative updates name it in their description only.
function Get-KbPackages {
    $found = @()
    foreach ($package in @(Get-WindowsPackage -Online -ErrorAction SilentlyContinue)) {
        if ($package.PackageName -match "KB$Kb(?!\d)") { $found += $package; continue }
        if ($package.PackageName -notlike 'Package_for_RollupFix*') { continue }
        $detail = Get-WindowsPackage -Online -PackageName $package.PackageName -ErrorAction SilentlyContinue
        if ($null -ne $detail -and [string] $detail.Description -match "KB$Kb(?!\d)") { $found += $package }
    }
    return , $found
}

# missing | installed | pending | superseded | not_applicable, and the update if it is missing.
function Get-KbState {
    $wua = New-Searcher
    $missing = Find-Update $wua.searcher 'IsInstalled=0 and IsHidden=0'
    if ($null -ne $missing) { return @{ state = 'missing'; update = $missing; session = $wua.session } }
    $packages = Get-KbPackages
    $states = @($packages | ForEach-Object { [string] $_.PackageState })
    if ($states -contains 'InstallPending' -or $states -contains 'UninstallPending') { return @{ state = 'pending' } }
    if ($null -ne (Find-Update $wua.searcher 'IsInstalled=1')) { return @{ state = 'installed' } }
    if ($states -contains 'Installed') { return @{ state = 'installed' } }
    if (@(Get-HotFix -ErrorAction SilentlyContinue | Where-Object { $_.HotFixID -eq "KB$Kb" }).Count -gt 0) { return @{ state = 'installed' } }
    if ($states -contains 'Superseded') { return @{ state = 'superseded' } }
    return @{ state = 'not_applicable' }
}

function Invoke-Check {
    $drive = New-Object System.IO.DriveInfo ($env:SystemDrive)
    Write-Step ('free space: {0} GB; restart pending: {1}' -f [Math]::Floor($drive.AvailableFreeSpace / 1GB), (Test-PendingReboot))
    $found = Get-KbState
    Write-Step "KB${Kb}: $($found.state)"
    switch ($found.state) {
        'missing' { $Report.installed = $false; Set-Outcome 'succeeded' 0 }
        'installed' { $Report.installed = $true; Set-Outcome 'succeeded' 0 }
        'pending' { Set-Outcome 'succeeded' 3010 }
        'superseded' { Set-Outcome 'superseded' 0 }
        default { Set-Outcome 'not_applicable' $null }
    }
}

function Invoke-Install {
    $found = Get-KbState
    Write-Step "KB${Kb}: $($found.state)"
    if ($found.state -ne 'missing') { Invoke-Check; return }
    $update = $found.update
    if ($update.InstallationBehavior.CanRequestUserInput) { Write-Step 'it would ask a user'; return }
    if (-not $update.EulaAccepted) { $update.AcceptEula() }
    $updates = New-Object -ComObject 'Microsoft.Update.UpdateColl'
    [void] $updates.Add($update)
    if (-not $update.IsDownloaded) {
        $downloader = $found.session.CreateUpdateDownloader()
        $downloader.Updates = $updates
        $downloaded = $downloader.Download()
        Write-Step ('download: result {0}, 0x{1:x8}' -f $downloaded.ResultCode, $downloaded.HResult)
        if (@(2, 3) -notcontains [int] $downloaded.ResultCode) { Set-Outcome 'failed' ([int] $downloaded.HResult); return }
        # A download can take hours.
        if (-not (Test-Window)) { Write-Step 'the window closed while it was downloaded'; Set-Outcome 'outside_window' $null; return }
    }
    $installer = $found.session.CreateUpdateInstaller()
    if ($installer.IsBusy) { Write-Step 'another installation runs'; return }
    if ($installer.RebootRequiredBeforeInstallation) { Write-Step 'a restart is needed before it'; return }
    $installer.Updates = $updates
    $installer.ForceQuiet = $true
    $Report.touched = $true
    $installed = $installer.Install()
    $one = $installed.GetUpdateResult(0)
    Write-Step ('install: result {0}, 0x{1:x8}, restart needed: {2}' -f $one.ResultCode, $one.HResult, $one.RebootRequired)
    if (@(2, 3) -notcontains [int] $one.ResultCode) { Set-Outcome 'failed' ([int] $one.HResult); return }
    if ($one.RebootRequired) { Set-Outcome 'succeeded' 3010 }
    else { $Report.installed = $true; Set-Outcome 'succeeded' 0 }
}

function Invoke-Uninstall {
    # CBS_E_CANNOT_UNINSTALL: permanent.
    $permanent = -2146498523
    $found = Get-KbState
    Write-Step "KB${Kb}: $($found.state)"
    if ($found.state -eq 'missing' -or $found.state -eq 'not_applicable') {
        $Report.installed = $false
        Set-Outcome 'succeeded' 0
        return
    }
    # Cumulative updates come with a servicing stack and cannot be removed by wusa: DISM first.
    $packages = Get-KbPackages
    $restart = $false
    $Report.touched = $true
    foreach ($package in $packages) {
        try {
            $removed = Remove-WindowsPackage -Online -PackageName $package.PackageName -NoRestart
            Write-Step "removed $($package.PackageName)"
            if ($removed.RestartNeeded) { $restart = $true }
        }
        catch {
            $code = [int] $_.Exception.HResult
            Write-Step ('{0}: 0x{1:x8} {2}' -f $package.PackageName, $code, $_.Exception.Message)
            if ($code -eq $permanent) { Set-Outcome 'not_removable' $code } else { Set-Outcome 'failed' $code }
            return
        }
    }
    if ($packages.Count -gt 0) {
        if ($restart) { Set-Outcome 'succeeded' 3010 } else { $Report.installed = $false; Set-Outcome 'succeeded' 0 }
        return
    }
    $process = Start-Process -FilePath (Join-Path $env:SystemRoot 'System32\wusa.exe') -PassThru -WindowStyle Hidden `
        -ArgumentList @('/uninstall', "/kb:$Kb", '/quiet', '/norestart')
    # Reading the handle now keeps the exit code readable.
    [void] $process.Handle
    if (-not $process.WaitForExit(3600 * 1000)) {
        Stop-Process -Id $process.Id -Force -ErrorAction SilentlyContinue
        Write-Step 'wusa did not end within an hour'
        return
    }
    $code = [int] $process.ExitCode
    Write-Step "wusa ended with $code"
    switch ($code) {
        0 { $Report.installed = $false; Set-Outcome 'succeeded' 0 }
        3010 { Set-Outcome 'succeeded' 3010 }
        2359303 { $Report.installed = $false; Set-Outcome 'succeeded' 0 }
        $permanent { Set-Outcome 'not_removable' $code }
        default { Set-Outcome 'failed' $code }
    }
}

# The report goes out while the minute runs.
function Invoke-Reboot {
    $Report.touched = $true
    & (Join-Path $env:SystemRoot 'System32\shutdown.exe') /r /t 60 /d p:2:17 /c 'AutoOps restarts this computer to finish updates' | Out-Null
    # 1190: a restart is already on its way.
    if (@(0, 1190) -contains $LASTEXITCODE) { Set-Outcome 'succeeded' 0; Write-Step 'restarting in one minute' }
    else { Set-Outcome 'failed' $LASTEXITCODE; Write-Step "shutdown ended with $LASTEXITCODE" }
}

function Get-BootTime {
    return (Get-CimInstance -ClassName Win32_OperatingSystem).LastBootUpTime.ToUniversalTime()
}

# ---- Evidence: what a restart destroys. It only reads ------------------------------------------

function Get-Recent([string[]] $Folders) {
    $since = [DateTime]::UtcNow.AddDays(-14)
    $kinds = @('.exe', '.dll', '.ps1', '.bat', '.cmd', '.vbs', '.js', '.hta', '.scr', '.sys', '.msi')
    foreach ($folder in $Folders) {
        if ([string]::IsNullOrEmpty($folder) -or -not (Test-Path -LiteralPath $folder)) { continue }
        # A few levels: system folders are deep, and this must end.
        $files = Get-ChildItem -LiteralPath $folder -File -Force -Recurse -Depth 2 -ErrorAction SilentlyContinue
        foreach ($file in $files) {
            if ($file.LastWriteTimeUtc -gt $since -and $kinds -contains $file.Extension.ToLowerInvariant()) {
                "{0:u}`t{1}`t{2}" -f $file.LastWriteTimeUtc, $file.Length, $file.FullName
            }
        }
    }
}

function Get-Autoruns {
    $hives = @('HKLM:\SOFTWARE', 'HKLM:\SOFTWARE\WOW6432Node')
    $hives += @(Get-ChildItem -LiteralPath 'Registry::HKEY_USERS' -ErrorAction SilentlyContinue | ForEach-Object { "Registry::$($_.Name)\SOFTWARE" })
    foreach ($hive in $hives) {
        foreach ($name in @('Run', 'RunOnce')) {
            $key = "$hive\Microsoft\Windows\CurrentVersion\$name"
            if (-not (Test-Path -LiteralPath $key)) { continue }
            $item = Get-Item -LiteralPath $key -ErrorAction SilentlyContinue
            foreach ($value in $item.GetValueNames()) { "{0}`t{1}`t{2}" -f $item.Name, $value, $item.GetValue($value) }
        }
    }
    foreach ($task in @(Get-ScheduledTask -ErrorAction SilentlyContinue)) {
        # Windows' own are many and the same everywhere.
        if ($task.TaskPath -like '\Microsoft\Windows\*') { continue }
        $does = @($task.Actions | ForEach-Object { if ($_.PSObject.Properties['Execute']) { "$($_.Execute) $($_.Arguments)" } }) -join '; '
        "task`t{0}{1}`t{2}`t{3}`t{4}" -f $task.TaskPath, $task.TaskName, $task.State, $task.Author, $does
    }
    foreach ($folder in @("$env:ProgramData\Microsoft\Windows\Start Menu\Programs\StartUp")) {
        Get-ChildItem -LiteralPath $folder -File -Force -ErrorAction SilentlyContinue | ForEach-Object { "startup`t$($_.FullName)" }
    }
}

# Ids, times and who; messages are long and in the language of the device.
function Get-SecurityEvents {
    $ids = @(1102, 4624, 4625, 4648, 4672, 4688, 4697, 4698, 4702, 4720, 4728, 4732, 4740)
    $logs = @(
        @{ LogName = 'Security'; Id = $ids; StartTime = (Get-Date).AddHours(-24) },
        @{ LogName = 'System'; Id = @(7045, 7040, 104); StartTime = (Get-Date).AddDays(-7) },
        @{ LogName = 'Microsoft-Windows-Windows Defender/Operational'; Id = @(1116, 1117, 5001, 5007); StartTime = (Get-Date).AddDays(-7) }
    )
    foreach ($filter in $logs) {
        foreach ($entry in @(Get-WinEvent -FilterHashtable $filter -MaxEvents 300 -ErrorAction SilentlyContinue)) {
            $values = @($entry.Properties | Select-Object -First 10 | ForEach-Object { [string] $_.Value }) -join ' | '
            "{0:u}`t{1}`t{2}`t{3}" -f $entry.TimeCreated.ToUniversalTime(), $entry.LogName, $entry.Id, $values
        }
    }
}

function Get-Connections {
    foreach ($one in @(Get-NetTCPConnection -ErrorAction SilentlyContinue)) {
        "tcp`t{0}:{1}`t{2}:{3}`t{4}`t{5}" -f $one.LocalAddress, $one.LocalPort, $one.RemoteAddress, $one.RemotePort, $one.State, $one.OwningProcess
    }
    foreach ($one in @(Get-NetUDPEndpoint -ErrorAction SilentlyContinue)) {
        "udp`t{0}:{1}`t`t`t{2}" -f $one.LocalAddress, $one.LocalPort, $one.OwningProcess
    }
}

function Get-Users {
    foreach ($one in @(Get-CimInstance -ClassName Win32_LogonSession -OperationTimeoutSec 60 -ErrorAction SilentlyContinue)) {
        $who = @(Get-CimAssociatedInstance -InputObject $one -ResultClassName Win32_Account -OperationTimeoutSec 20 -ErrorAction SilentlyContinue | ForEach-Object { "$($_.Domain)\$($_.Name)" }) -join ', '
        "{0}`ttype {1}`t{2:u}`t{3}" -f $one.LogonId, $one.LogonType, $one.StartTime, $who
    }
}

# What changes fastest comes first.
$Collectors = [ordered]@{
    processes          = {
        foreach ($one in @(Get-CimInstance -ClassName Win32_Process -OperationTimeoutSec 60)) {
            "{0}`t{1}`t{2:u}`t{3}`t{4}" -f $one.ProcessId, $one.ParentProcessId, $one.CreationDate, $one.ExecutablePath, $one.CommandLine
        }
    }
    connections        = { Get-Connections }
    users              = { Get-Users }
    system             = {
        $os = Get-CimInstance -ClassName Win32_OperatingSystem -OperationTimeoutSec 60
        "{0} {1}" -f $os.Caption, $os.Version
        "boot time`t{0:u}" -f $os.LastBootUpTime.ToUniversalTime()
        "restart pending`t{0}" -f (Test-PendingReboot)
    }
    services           = {
        foreach ($one in @(Get-CimInstance -ClassName Win32_Service -OperationTimeoutSec 60)) {
            "{0}`t{1}`t{2}`t{3}`t{4}" -f $one.Name, $one.State, $one.StartMode, $one.StartName, $one.PathName
        }
    }
    autoruns           = { Get-Autoruns }
    recent_executables = {
        $homes = @(Get-ChildItem -LiteralPath (Join-Path $env:SystemDrive 'Users') -Directory -Force -ErrorAction SilentlyContinue)
        Get-Recent (@("$env:SystemRoot\Temp", $env:ProgramData, "$env:SystemDrive\Users\Public") + @($homes | ForEach-Object { "$($_.FullName)\AppData\Local\Temp" }) + @("$env:SystemRoot\System32"))
    }
    security_log       = { Get-SecurityEvents }
    updates            = {
        foreach ($one in @(Get-HotFix -ErrorAction SilentlyContinue)) { "{0}`t{1:u}`t{2}" -f $one.HotFixID, $one.InstalledOn, $one.Description }
    }
}

# Lines as a section: at most so many, each cut, and marked when something was.
function Get-Section([string] $Name, [string[]] $All, [int] $Most) {
    $cut = $All.Count -gt $Most
    $lines = New-Object System.Collections.Generic.List[string]
    foreach ($line in $All) {
        if ($lines.Count -ge $Most) { break }
        # The token is in our own text, and evidence is kept long.
        $text = ($line -replace '[\x00-\x08\x0a-\x1f\x7f]', ' ').Replace($Secret, '<token>')
        if ($text.Length -gt $MaxLine) { $text = $text.Substring(0, $MaxLine); $cut = $true }
        $lines.Add($text)
    }
    return [ordered]@{ name = $Name; truncated = [bool] $cut; lines = $lines.ToArray() }
}

function Get-Packed([string] $Text) {
    $bytes = [Text.Encoding]::UTF8.GetBytes($Text)
    $buffer = New-Object System.IO.MemoryStream
    $gzip = New-Object System.IO.Compression.GZipStream($buffer, [System.IO.Compression.CompressionMode]::Compress, $true)
    try { $gzip.Write($bytes, 0, $bytes.Length) } finally { $gzip.Dispose() }
    return [Convert]::ToBase64String($buffer.ToArray())
}

function Invoke-Evidence {
    $taken = [DateTime]::UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", $Invariant)
    $found = [ordered]@{}
    foreach ($name in $Collectors.Keys) {
        # One that fails says so, and the others go on.
        try { $found[$name] = [string[]] @(& $Collectors[$name] | ForEach-Object { [string] $_ }) }
        catch { $found[$name] = [string[]] @("not collected: $($_.Exception.Message)") }
    }
    $most = $MaxLines
    while ($true) {
        $sections = @(foreach ($name in $found.Keys) { Get-Section $name $found[$name] $most })
        $document = [ordered]@{ format = 1; jobId = $JobId; device = $DeviceId; takenAt = $taken; sections = $sections }
        $packed = Get-Packed (ConvertTo-Json -InputObject $document -Depth 5 -Compress)
        if ($packed.Length -le $MaxEvidence -or $most -le 10) { break }
        $most = [int] [Math]::Floor($most / 2)
    }
    if ($packed.Length -gt $MaxEvidence) { Write-Step 'evidence cannot be packed'; return }
    $Report.evidence = $packed
    Write-Step "collected, at most $most lines a section, $($packed.Length) bytes packed"
    Set-Outcome 'succeeded' 0
}

# ---- One job, once -----------------------------------------------------------------------------

function Invoke-Mode {
    switch ($Mode) {
        'check' { Invoke-Check }
        'verify' { Invoke-Check }
        'install' { Invoke-Install }
        'uninstall' { Invoke-Uninstall }
        'reboot' { Invoke-Reboot }
        'evidence' { Invoke-Evidence }
    }
}

# A run before this one began the job and was cut off.
function Resume-Mode([string] $Begun) {
    Write-Step 'this job was begun before and did not finish'
    # Nobody knows how far it came.
    $Report.touched = $true
    switch ($Mode) {
        'reboot' {
            # Restarted since: then it is done. A second restart would hit a user, and so would a
            # first one after the window.
            if ((Get-BootTime) -gt (Get-Item -LiteralPath $Begun).CreationTimeUtc) { Set-Outcome 'succeeded' 0 }
            elseif (Test-Window) { Invoke-Reboot }
            else { Set-Outcome 'outside_window' $null; Write-Step 'the window has closed: it was not restarted' }
        }
        { @('install', 'uninstall') -contains $_ } {
            # Doing it again could collide with what still runs: say what is there.
            Invoke-Check
            $wanted = ($Mode -eq 'install')
            if ($Report.outcome -eq 'succeeded' -and $Report.exitCode -ne 3010 -and $Report.installed -ne $wanted) { Set-Outcome 'failed' $null }
        }
        default { Invoke-Mode }
    }
}

function Initialize-State {
    if (Test-Path -LiteralPath $StateFolder) { return }
    [void] (New-Item -ItemType Directory -Path $StateFolder -Force)
    # SYSTEM and administrators only, by their fixed ids: a user must not be able to plant a result.
    & (Join-Path $env:SystemRoot 'System32\icacls.exe') $StateFolder /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
    if ($LASTEXITCODE -ne 0) { throw 'the state folder cannot be protected' }
}

$mutex = New-Object System.Threading.Mutex($false, 'Global\AutoOps-Device')
$mine = $false
try {
    try { $mine = $mutex.WaitOne([TimeSpan]::FromMinutes(30)) }
    catch [System.Threading.AbandonedMutexException] { $mine = $true }
    if (-not $mine) { throw 'another run of this script does not end' }
    Initialize-State
    Get-ChildItem -LiteralPath $StateFolder -File | Where-Object { $_.LastWriteTimeUtc -lt [DateTime]::UtcNow.AddDays(-90) } |
        Remove-Item -Force -ErrorAction SilentlyContinue
    $marker = Join-Path $StateFolder ((Get-Sha256 $JobId) + '.json')
    $begun = $marker + '.begun'

    if (Test-Path -LiteralPath $marker) {
        # This job was done: say again how it ended, do nothing again.
        $stored = [IO.File]::ReadAllText($marker)
        if (-not (Send-OrShrink $stored)) { Write-Warning 'the report did not arrive' }
        exit 0
    }
    $wasBegun = Test-Path -LiteralPath $begun
    if (-not $wasBegun -and -not (Test-Window)) {
        # Not kept: the same job may come again inside its window.
        Set-Outcome 'outside_window' $null
        Write-Step "now $([DateTime]::UtcNow.ToString('u', $Invariant)), allowed $($given.notBefore) to $($given.notAfter): nothing was done"
        if (-not (Send-Report (Get-Report))) { Write-Warning 'the report did not arrive' }
        exit 0
    }
    if (-not $wasBegun) { [IO.File]::WriteAllText($begun, '') }
    try {
        if ($wasBegun) { Resume-Mode $begun } else { Invoke-Mode }
    }
    catch {
        $code = [int] $_.Exception.HResult
        Write-Step ('0x{0:x8} {1}' -f $code, $_.Exception.Message)
        Set-Outcome 'failed' $code
    }
    $body = Get-Report
    if ($Report.outcome -eq 'outside_window') {
        Remove-Item -LiteralPath $begun -Force -ErrorAction SilentlyContinue
    }
    else {
        Save-Report $body
    }
    if (-not (Send-OrShrink $body)) { Write-Warning 'the report did not arrive' }
}
finally {
    if ($mine) { $mutex.ReleaseMutex() }
    $mutex.Dispose()
}
if ($Report.outcome -eq 'failed') { exit 1 }
exit 0
