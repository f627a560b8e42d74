#!/bin/bash
# AutoOps-Device for macOS. The contract is that of AutoOps-Device.ps1, as far as macOS allows.
#
# On a Mac updates are labels of softwareupdate, not KB numbers: `kb` is looked for in the labels and
# titles. macOS cannot remove an update (uninstall answers not_removable), and on Apple silicon an
# update that restarts needs a user's password: it then fails, and says so.
#
# Arguments are values and never code: they arrive as variables of the environment or of this shell,
# each is checked against a pattern, and none is ever evaluated.
set -u -o pipefail
umask 077
export PATH=/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C

# AUTOOPS_STATE, AUTOOPS_PATIENCE and AUTOOPS_ONLY_REPORT are for tests of this script.
STATE="${AUTOOPS_STATE:-/Library/Application Support/AutoOps/Device}"
MAX_LOG=4096
LOG=""
# Evidence: most lines of a section, longest line, and how much the receiver takes (base64 of gzip).
MAX_LINES=400 MAX_LINE=500 MAX_EVIDENCE=262144
EVIDENCE="" STATUS=000

mode="${mode:-}" kb="${kb:-}" jobId="${jobId:-}" device="${device:-}"
notBefore="${notBefore:-}" notAfter="${notAfter:-}" services="${services:-}"
callbackUrl="${callbackUrl:-}" token="${token:-}"
# Programs we start need none of them.
export -n mode kb jobId device notBefore notAfter services callbackUrl token

OUTCOME="failed" EXIT_CODE="null" REBOOT="false" INSTALLED="null"
# How long to wait for another run of this script, in seconds.
PATIENCE="${AUTOOPS_PATIENCE:-1800}"
[[ $PATIENCE =~ ^[0-9]{1,5}$ ]] || PATIENCE=1800

say() { LOG="$LOG$(date -u +%H:%M:%S) $*"$'\n'; }
refuse() { echo "AutoOps-Device: $1 is not allowed" >&2; exit 64; }

# Names may hold a `$`, so they travel as base64url without padding: nothing reads that as a variable.
decode_services() {
    [[ -z $services ]] && return
    local text=$services decoded
    [[ ${#text} -le 2000 && $text =~ ^[A-Za-z0-9_-]+$ ]] && ((${#text} % 4 != 1)) || refuse services
    while ((${#text} % 4)); do text+="="; done
    decoded=$(printf '%s\n' "$text" | tr '_-' '/+' | fold -w 64 | openssl base64 -d 2>/dev/null | tr '\000' '\001') || refuse services
    [[ -n $decoded ]] || refuse services
    services=$decoded
}

check_arguments() {
    local time='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$'
    local names='^([A-Za-z0-9 ._:@$+#-]{1,64}(,[A-Za-z0-9 ._:@$+#-]{1,64}){0,19})?$'
    local address='^(https://[A-Za-z0-9.-]+|http://(127\.0\.0\.1|localhost))(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$'
    [[ $mode =~ ^(check|install|reboot|verify|uninstall|evidence)$ ]] || refuse mode
    [[ -z $kb || $kb =~ ^[0-9]{6,8}$ ]] || refuse kb
    [[ -n $kb || $mode == reboot || $mode == evidence ]] || refuse kb
    [[ $jobId =~ ^[A-Za-z0-9._/-]{1,160}$ ]] || refuse jobId
    [[ $device =~ ^[A-Za-z0-9_-]{1,40}$ ]] || refuse device
    [[ -z $notBefore || $notBefore =~ $time ]] || refuse notBefore
    [[ -z $notAfter || $notAfter =~ $time ]] || refuse notAfter
    # What changes the device must have an end: a queued run could start days later.
    case $mode in install | reboot | uninstall) [[ -n $notAfter ]] || refuse notAfter ;; esac
    decode_services
    [[ $services =~ $names ]] || refuse services
    [[ $callbackUrl =~ $address ]] || refuse callbackUrl
    [[ $token =~ ^[0-9a-f]{64}$ ]] || refuse token
}

# Both sides have the same form, so that text compares as time does.
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }
seconds_of() { printf '%s' "${1%%[.Z]*}"; }
in_window() {
    local current; current=$(seconds_of "$(now)")
    [[ -z $notBefore || ! $current < $(seconds_of "$notBefore") ]] &&
        [[ -z $notAfter || ! $current > $(seconds_of "$notAfter") ]]
}

sha256() { openssl dgst -sha256 | sed 's/^.*= *//'; }

# HMAC-SHA256 (RFC 2104) out of plain SHA-256: `openssl -hmac KEY` would show the token to everybody
# who lists processes. printf is part of this shell and starts none.
hmac() {
    local key_hex i byte inner="" outer="" pad
    key_hex=$(printf '%s' "$token" | od -An -v -tx1 | tr -d ' \n')
    for ((i = 0; i < 64; i++)); do
        byte=$((16#${key_hex:i*2:2}))
        printf -v pad '\\x%02x' $((byte ^ 0x36)); inner+=$pad
        printf -v pad '\\x%02x' $((byte ^ 0x5c)); outer+=$pad
    done
    local digest; digest=$({ printf "$inner"; cat; } | sha256 | sed 's/../\\x&/g')
    { printf "$outer"; printf "$digest"; } | sha256
}

# Text is cut by bytes, and programs write what they like: what is no UTF-8 is dropped, or the whole
# report would be refused.
only_utf8() { if command -v iconv >/dev/null; then iconv -c -f UTF-8 -t UTF-8 2>/dev/null; else tr -d '\200-\377'; fi; }

json_text() {
    local text=$1
    text=$(printf '%s' "$text" | tr -d '\000-\010\013-\037\177' | only_utf8)
    text=${text//\\/\\\\}; text=${text//\"/\\\"}; text=${text//$'\t'/ }; text=${text//$'\n'/\\n}
    printf '"%s"' "$text"
}

service_states() {
    local list="" name running state
    local IFS=,
    for name in $services; do
        [[ -z $name ]] && continue
        running=false
        # Not in a pipe to grep -q: it ends early, and what then breaks the pipe would count as "no".
        state=$(launchctl print "system/$name" 2>/dev/null)
        [[ $state == *'state = running'* ]] && running=true
        list="$list${list:+,}{\"name\":$(json_text "$name"),\"running\":$running}"
    done
    printf '[%s]' "$list"
}

report_json() {
    local kb_json=null tail
    [[ -n $kb ]] && kb_json="\"$kb\""
    tail=${LOG: -$((${#LOG} < MAX_LOG ? ${#LOG} : MAX_LOG))}
    printf '{"jobId":%s,"device":%s,"mode":"%s","kb":%s,"outcome":"%s","exitCode":%s,"rebootRequired":%s,"installed":%s,"services":%s,"finishedAt":"%s","log":%s%s}' \
        "$(json_text "$jobId")" "$(json_text "$device")" "$mode" "$kb_json" "$OUTCOME" "$EXIT_CODE" \
        "$REBOOT" "$INSTALLED" "$(service_states)" "$(now)" "$(json_text "$tail")" \
        "${EVIDENCE:+,\"evidence\":\"$EVIDENCE\"}"
}

# Signs anew for each try: a signature is good for five minutes.
send() {
    local body=$1 pause timestamp signature
    for pause in 0 2 5 15 30 60; do
        sleep "$pause"
        timestamp=$(date -u +%s)
        signature="v1=$(printf '%s.%s' "$timestamp" "$body" | hmac)"
        STATUS=$(printf '%s' "$body" | curl --silent --show-error --output /dev/null --write-out '%{http_code}' \
            --max-time 20 --proto '=https,http' --header 'content-type: application/json' \
            --header "x-autoops-timestamp: $timestamp" --header "x-autoops-signature: $signature" \
            --data-binary @- "$callbackUrl" 2>/dev/null) || STATUS=000
        case $STATUS in
            2??) return 0 ;;
            # Nobody waits, or it will never be accepted: trying again changes nothing.
            400 | 404 | 409 | 413 | 422) return 1 ;;
        esac
    done
    return 1
}

# Whole or not at all.
keep() { printf '%s' "$1" >"$marker.new" && mv "$marker.new" "$marker"; }

# A receiver that takes no evidence of this size is told that there is none: nobody must wait for it.
deliver() {
    send "$1" && return 0
    [[ $mode == evidence && $STATUS == 413 && $1 == *'"evidence":'* ]] || return 1
    EVIDENCE="" OUTCOME=failed EXIT_CODE=null
    say "the receiver refused the evidence as too large"
    local smaller; smaller=$(report_json)
    keep "$smaller"
    send "$smaller"
}

# ---- what macOS can do -------------------------------------------------------------------------

# Fails when the list cannot be read, which says nothing about the update.
label_of_update() {
    local list; list=$(softwareupdate --list 2>&1) || return 1
    printf '%s\n' "$list" | sed -n 's/^[* ]*Label: //p' | awk -v kb="$kb" 'index($0, kb) && !found++'
}
in_history() { local list; list=$(softwareupdate --history 2>/dev/null); [[ $list == *"$kb"* ]]; }

run_check() {
    local label; label=$(label_of_update) || { in_history || { say "updates cannot be listed"; return; }; }
    say "free space: $(df -k / | awk 'NR==2 {print int($4/1024/1024)}') GB"
    if in_history; then INSTALLED=true; say "$kb is in the history"
    elif [[ -n $label ]]; then INSTALLED=false; say "missing: $label"
    else OUTCOME=not_applicable; say "$kb is neither listed nor in the history"; return; fi
    OUTCOME=succeeded EXIT_CODE=0
}

run_install() {
    local label output
    in_history && { INSTALLED=true OUTCOME=succeeded EXIT_CODE=0; say "already installed"; return; }
    # Nothing was done yet: nobody has to remove anything.
    label=$(label_of_update) || { INSTALLED=false; say "updates cannot be listed"; return; }
    [[ -z $label ]] && { OUTCOME=not_applicable; say "no update with $kb"; return; }
    say "installing $label"
    output=$(softwareupdate --install "$label" --agree-to-license 2>&1 </dev/null); EXIT_CODE=$?
    say "$(printf '%s' "$output" | tail -n 15)"
    [[ $output == *"estart"* ]] && REBOOT=true
    if ((EXIT_CODE == 0)); then
        OUTCOME=succeeded
        [[ $REBOOT == true ]] || INSTALLED=true
    fi
}

run_verify() { run_check; }
run_uninstall() { OUTCOME=not_removable; say "macOS cannot remove an update"; }

# ---- evidence: what a restart destroys. It only reads ------------------------------------------

# A program that hangs must not keep the rest from being collected.
limited() {
    command -v "$1" >/dev/null || return 0
    if command -v perl >/dev/null; then perl -e 'alarm 60; exec @ARGV' "$@"; else "$@"; fi 2>/dev/null </dev/null
}

# Lines as a section of the document: at most $1 of them, each cut, and marked when something was.
section() {
    awk -v most="$1" -v name="$2" -v width="$MAX_LINE" '
        BEGIN { printf "{\"name\":\"%s\",\"lines\":[", name }
        /[^ \t]/ {
            if (++kept > most) { cut = 1; next }
            if (length($0) > width) { cut = 1; $0 = substr($0, 1, width) }
            gsub(/\t/, " "); gsub(/[\001-\037\177]/, "")
            gsub(/\\/, "&&"); gsub(/"/, "\\\\&")
            printf "%s\"%s\"", (kept > 1 ? "," : ""), $0
        }
        END { printf "],\"truncated\":%s}", (cut ? "true" : "false") }'
}

collect_system() {
    now; uname -a; limited sw_vers; uptime
    printf 'boot time: %s\n' "$(sysctl -n kern.boottime 2>/dev/null || limited uptime -s)"
    id; limited df -k
}
# Path and command line apart: both may hold blanks.
collect_processes() { limited ps -axww -o pid=,ppid=,user=,lstart=,command=; }
collect_executables() { limited ps -axww -o pid=,comm=; }
collect_connections() {
    if command -v lsof >/dev/null; then limited lsof -nP -i
    elif command -v ss >/dev/null; then limited ss -tunap
    else limited netstat -an; fi
}
collect_users() { limited who -a; limited last -n 40; }
collect_services() {
    limited launchctl list
    limited systemctl list-units --type=service --all --no-pager --plain --no-legend
}
collect_autoruns() {
    local place
    for place in /Library/LaunchDaemons /Library/LaunchAgents /Users/*/Library/LaunchAgents /etc/cron.d /etc/cron.daily \
        /usr/lib/cron/tabs /var/spool/cron /etc/periodic/daily /etc/systemd/system; do
        [[ -d $place ]] && printf '%s:\n' "$place" && limited ls -lan "$place"
    done
    limited crontab -l
    limited defaults read com.apple.loginwindow LoginHook
}
collect_recent_executables() {
    local places=() place
    for place in /tmp /private/tmp /var/tmp /Users/Shared /usr/local/bin /usr/local/sbin /Library/Application\ Support; do
        [[ -d $place && ! -L $place ]] && places+=("$place")
    done
    ((${#places[@]})) || return 0
    limited find "${places[@]}" -xdev -maxdepth 5 -type f -mtime -14 \
        \( -perm -100 -o -perm -010 -o -perm -001 \) -exec ls -ldn {} +
}
collect_security_log() {
    limited log show --last 6h --style compact \
        --predicate 'process == "sshd" OR process == "sudo" OR process == "loginwindow" OR process == "authd" OR process == "tccd"'
    limited journalctl --no-pager --quiet --since -6h -t sshd -t sudo -t su -t login
}
collect_updates() { limited softwareupdate --history; }

# The document with at most $1 lines a section. The token is in our own text, and evidence is kept long.
evidence_document() {
    local name separator=""
    printf '{"format":1,"jobId":%s,"device":%s,"takenAt":"%s","sections":[' \
        "$(json_text "$jobId")" "$(json_text "$device")" "$(now)"
    for name in system processes executables connections users services autoruns recent_executables security_log updates; do
        printf '%s' "$separator"
        section "$1" "$name" <"$2/$name"
        separator=,
    done
    printf ']}'
}

run_evidence() {
    local folder name lines=$MAX_LINES packed
    folder="$STATE/evidence.$$"
    mkdir -p "$folder" || return
    # Once, and first what changes fastest; only what is kept of it depends on its size.
    for name in processes executables connections users system services autoruns recent_executables security_log updates; do
        "collect_$name" 2>/dev/null | tr -d '\000' >"$folder/$name"
    done
    while :; do
        packed=$(evidence_document "$lines" "$folder" | only_utf8 |
            sed -f <(printf 's/%s/<token>/g' "$token") | gzip -9 | openssl base64 -A)
        ((${#packed} <= MAX_EVIDENCE || lines <= 10)) && break
        lines=$((lines / 2))
    done
    rm -rf "$folder"
    if [[ -z $packed ]] || ((${#packed} > MAX_EVIDENCE)); then say "evidence cannot be packed"; return; fi
    EVIDENCE=$packed OUTCOME=succeeded EXIT_CODE=0
    say "collected, at most $lines lines a section, ${#packed} bytes packed"
}
boot_time() { sysctl -n kern.boottime | sed 's/^{ sec = \([0-9]*\).*/\1/'; }
# The report goes out first; the restart comes when it has had a minute.
run_reboot() { OUTCOME=succeeded EXIT_CODE=0; say "restarting in one minute"; shutdown -r +1 >/dev/null 2>&1 || { OUTCOME=failed EXIT_CODE=1; say "shutdown refused"; }; }

# ---- one run at a time -------------------------------------------------------------------------

# A process by its number and start: the number alone may be another program's after a restart.
process() { printf '%s since %s' "$1" "$(ps -o lstart= -p "$1" 2>/dev/null)"; }
# The lock is a link to nowhere whose target names the process, so that it is made and filled at once.
lock_holder() { readlink "$STATE/lock" 2>/dev/null; }
unlock() { [[ $(lock_holder) == "$ME" ]] && rm -f "$STATE/lock"; }

# Fails when another run does not end in time.
lock() {
    local holder waited=0
    ME=$(process $$)
    until ln -s "$ME" "$STATE/lock" 2>/dev/null; do
        holder=$(lock_holder)
        if [[ -n $holder && $holder != "$(process "${holder%% *}")" ]] && mv "$STATE/lock" "$STATE/lock.$$" 2>/dev/null; then
            # Of two that find a lock left behind, the second may have got hold of the first one's new one.
            [[ $(readlink "$STATE/lock.$$") == "$holder" ]] || ln -s "$(readlink "$STATE/lock.$$")" "$STATE/lock" 2>/dev/null
            rm -f "$STATE/lock.$$"
            continue
        fi
        ((waited < PATIENCE)) || return 1
        sleep 1; ((waited += 1))
    done
    trap unlock EXIT
}

# ------------------------------------------------------------------------------------------------

main() {
    check_arguments
    mkdir -p "$STATE" || exit 73
    # Without a report: the run that goes on makes one, and "failed" would have its work undone.
    lock || { echo "AutoOps-Device: another run of this script does not end" >&2; exit 75; }
    find "$STATE" -name '*.json' -mtime +90 -delete 2>/dev/null
    local marker begun body
    marker="$STATE/$(printf '%s' "$jobId" | sha256).json"
    begun="$marker.begun"
    if [[ -f $marker ]]; then
        # This job was done: say again how it ended, do nothing again.
        deliver "$(cat "$marker")"
        return
    fi
    if [[ ! -d $begun ]] && ! in_window; then
        # Not kept: the same job may come again inside its window.
        OUTCOME=outside_window
        say "now $(now), allowed $notBefore to $notAfter: nothing was done"
        send "$(report_json)"
        return
    fi
    # mkdir is atomic: of two runs of the same job one goes on.
    if ! mkdir "$begun" 2>/dev/null; then
        say "this job was begun before and did not finish"
        case $mode in
            reboot)
                # Restarted since: then it is done. A second restart would hit a user, and so would a
                # first one after the window.
                if (($(boot_time) > $(stat -f %m "$begun"))); then OUTCOME=succeeded EXIT_CODE=0
                elif in_window; then run_reboot
                else OUTCOME=outside_window; say "the window has closed: it was not restarted"; fi ;;
            install | uninstall)
                # Doing it again could collide with what still runs: say what is there.
                run_check
                [[ $mode == install && $INSTALLED == true ]] || OUTCOME=failed ;;
            *) "run_$mode" ;;
        esac
    elif [[ -n ${AUTOOPS_ONLY_REPORT:-} ]]; then
        OUTCOME=succeeded EXIT_CODE=0
        say "only a report"
    else
        "run_$mode"
    fi
    body=$(report_json)
    if [[ $OUTCOME == outside_window ]]; then
        # Not kept: the same job may come again inside its window.
        rm -rf "$begun"
    else
        keep "$body"
    fi
    deliver "$body" || echo "AutoOps-Device: the report did not arrive" >&2
    [[ $OUTCOME == failed ]] && return 1
    return 0
}

main
