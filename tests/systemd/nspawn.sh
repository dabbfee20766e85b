#!/usr/bin/env bash
# nspawn.sh [BUILD]: the unit under a real systemd, booted in a container, with the binary of BUILD as
# it is installed. The broker and Valkey run beside the container, in a network of their own.
# Needs root or sudo, systemd-container and mmdebstrap. The container's root is kept for the next
# time in build-nspawn/.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/lib.sh
. tools/lib.sh
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
if [ "$(id -u)" != 0 ]; then
    exec sudo "$0" "$@"
fi
build=${1:-build}
root=$PWD/build-nspawn/root
. /etc/os-release

scratch=$(mktemp -d)
net=brink-test-$$
nspawn='' servers=()

leave() {
    trap '' INT TERM HUP
    if [ -n "$nspawn" ] && kill -0 "$nspawn" 2>/dev/null; then
        inside systemctl poweroff >/dev/null 2>&1
        until_true 10 gone "$nspawn" || kill -KILL "$nspawn"
        wait "$nspawn" 2>/dev/null
    fi
    local pid
    for pid in "${servers[@]}"; do
        stop_process "$pid"
    done
    ip netns del "$net" 2>/dev/null
    # nspawn leaves its empty control groups behind.
    find /sys/fs/cgroup/{systemd,unified}/{payload,supervisor} -depth -type d \
        -exec rmdir {} \; 2>/dev/null
    rm -rf "$scratch"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

gone() { ! kill -0 "$1" 2>/dev/null; }
inside() { nsenter -t "$leader" -m -u -i -n -p -C "$@"; }
near() { ip netns exec "$net" "$@"; }
property() { inside systemctl show -P "$1" brink 2>/dev/null; }
has_state() { inside find /var/lib/private/brink/ -type f | grep -q .; }
has_status() { [ -n "$(property StatusText)" ]; }
property_is() { [ "$(property "$1")" = "$2" ]; }

failed() {
    warn "FAILED: $*"
    {
        echo "--- alerts"
        cat "$scratch/alerts"
        echo "--- systemctl status, journal"
        inside systemctl status brink --no-pager --lines=0
        inside journalctl -u brink --no-pager --output=short-precise | tail -n 40
    } >&2 2>&1
    exit 1
}
# promise TEXT COMMAND...: true now.  promise_within SECONDS TEXT COMMAND...: true in time.
promise() { promise_within 0 "$@"; }
promise_within() {
    local seconds=$1 text=$2
    shift 2
    until_true "$seconds" "$@" || failed "$text"
    say "  $text"
}

# --- the root ---------------------------------------------------------------------------------
packages=$(runtime_packages "$build/src/cli/brink") || die "which packages does $build need?"
include=$(printf '%s\n' systemd systemd-sysv dbus "$packages" | paste -sd,)
stamp="$VERSION_CODENAME $include"
make_root() {
    rm -rf "$root" && mkdir -p "$root" || return 1
    tools/apt-source "$VERSION_CODENAME" >"$scratch/host.sources" || return 1
    mmdebstrap --variant=minbase --include="$include" "$VERSION_CODENAME" "$root" \
        "$scratch/host.sources" || return 1
    printf '%s' "$stamp" >"$root.stamp"
}
if [ "$(cat "$root.stamp" 2>/dev/null)" != "$stamp" ]; then
    rm -f "$root.stamp"
    step "making a root of $VERSION_CODENAME with systemd" make_root || exit 1
fi

DESTDIR=$root meson install -C "$build" --no-rebuild --quiet || die "meson install failed"
mkdir -p "$root/etc/brink/rules.d" "$root/etc/systemd/system/brink.service.d" \
    "$root/etc/systemd/system/multi-user.target.wants"
ln -sf "$(cd "$root" && find usr -name brink.service | sed 's#^#/#')" \
    "$root/etc/systemd/system/multi-user.target.wants/brink.service"
cat >"$root/etc/brink/brink.yaml" <<'END'
gateway: {id: nspawn}
mqtt:
  servers: [mqtt://127.0.0.1:1883]
  username: brink
  password_file: /run/credentials/brink.service/mqtt
telemetry:
  - topic: tenant/{tenant}/device/{device}/telemetry
    qos: 1
store: {address: valkey://127.0.0.1:6379/0}
rules: [rules.d/*.yaml]
END
cat >"$root/etc/brink/rules.d/test.yaml" <<'END'
rules:
  - {id: hot, rule_type: THRESHOLD, metric_name: temp_c, operator: GT, threshold: 30}
END
(umask 077 && echo 'a secret of the test' >"$root/etc/brink/mqtt.password")
cat >"$root/etc/systemd/system/brink.service.d/test.conf" <<'END'
[Service]
WatchdogSec=2
LoadCredential=mqtt:/etc/brink/mqtt.password
END

# --- the servers ------------------------------------------------------------------------------
make_net() { ip netns add "$net" && ip -n "$net" link set lo up; }
make_net || die "cannot make a network namespace"
# In the background without the function near: its process would be the shell, not the server.
start_servers() {
    mosquitto_passwd -c -b "$scratch/passwords" brink 'a secret of the test' || return 1
    cat >"$scratch/mosquitto.conf" <<END
user root
per_listener_settings true
listener 1883 127.0.0.1
password_file $scratch/passwords
set_tcp_nodelay true
listener 1884 127.0.0.1
allow_anonymous true
END
    ip netns exec "$net" mosquitto -c "$scratch/mosquitto.conf" >"$scratch/mosquitto.log" 2>&1 &
    servers+=($!)
    ip netns exec "$net" valkey-server --bind 127.0.0.1 --port 6379 --dir "$scratch" --save '' \
        --appendonly yes >"$scratch/valkey.log" 2>&1 &
    servers+=($!)
    until_true 10 near valkey-cli ping && until_true 10 near mosquitto_pub -p 1884 -t x -m x || return 1
    ip netns exec "$net" mosquitto_sub -p 1884 -q 1 -t 'alerts/#' -F '%p' >"$scratch/alerts" 2>&1 &
    servers+=($!)
}
reading() {
    near mosquitto_pub -p 1884 -q 1 -t "tenant/acme/device/$1/telemetry" -m "{\"metrics\":{\"temp_c\":$2}}"
}
# alerts EVENT DEVICE: the ids of the alerts that came.
alerts() {
    python3 - "$scratch/alerts" "$1" "$2" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    alert = json.loads(line)
    if (alert["event_type"], alert["device_id"]) == tuple(sys.argv[2:]):
        print(alert["alert_id"])
PY
}
came() { [ -n "$(alerts "$@")" ]; }

# --- the boot ---------------------------------------------------------------------------------
: >"$scratch/alerts"
extra=''
[ -d /run/systemd/system ] || extra=--keep-unit
# shellcheck disable=SC2086
systemd-nspawn -D "$root" --boot --volatile=overlay --register=no $extra --machine="$net" \
    --network-namespace-path="/run/netns/$net" --console=pipe >"$scratch/nspawn.log" 2>&1 </dev/null &
nspawn=$!
leader=''
booted() {
    leader=$(pgrep -P "$nspawn" | head -n 1)
    [ -n "$leader" ] && [ -n "$(property ActiveState)" ]
}
until_true 60 booted || {
    cat "$scratch/nspawn.log" >&2
    die "the container did not boot"
}

promise_within 10 "without a broker it is starting, not ready" property_is ActiveState activating
promise_within 10 "and says what it waits for" has_status
start_servers || die "the servers did not start: $(cat "$scratch"/*.log)"
promise_within 20 "it is ready once it is subscribed" property_is ActiveState active
say "    status: $(property StatusText)"
pid=$(property MainPID)
status_field() { inside grep -E "^$1:" "/proc/$pid/status" | cut -f2-; }
promise "it runs as a user of its own" test "$(status_field Uid | cut -f1)" -gt 1000
promise "without any capability" test "$(status_field CapEff)" = 0000000000000000
promise "under a filter of system calls" test "$(status_field Seccomp)" = 2
promise "its state is in its own folder" has_state

reading one 35
promise_within 10 "a reading over the limit raises an alert" came OPEN one
inside systemctl kill --signal=KILL --kill-whom=main brink
promise_within 15 "killed, it is started anew" property_is NRestarts 1
promise_within 15 "and becomes ready" property_is ActiveState active
reading one 36
reading two 36
promise_within 10 "it goes on raising alerts" came OPEN two
# Killed before it knew that the broker had it, it sends it once more: under the same id.
promise "but raises none twice" test "$(alerts OPEN one | sort -u | wc -l)" = 1

inside systemctl kill --signal=STOP --kill-whom=main brink
promise_within 30 "hung, the watchdog has it started anew" property_is NRestarts 2
watchdog_bit() { inside journalctl -u brink --no-pager | grep -qi 'watchdog timeout'; }
promise_within 5 "for that very reason" watchdog_bit
promise_within 15 "and becomes ready" property_is ActiveState active
reading one 20
promise_within 10 "the alert of before is closed" came CLOSED one
promise "under the name that it was opened with" test "$(alerts CLOSED one)" = "$(alerts OPEN one)"

pid=$(property MainPID)
rules=/etc/brink/rules.d/test.yaml
inside sed -i 's/threshold: 30/threshold: 10/' $rules
promise "it reloads its rules" inside timeout 10 systemctl reload brink
fires_at_15() { reading three 15 && sleep 0.2 && came OPEN three; }
promise_within 10 "and goes by the new ones" fires_at_15
inside sed -i 's/threshold: 10/threshold: ten/' $rules
promise "a reload that is refused ends too" inside timeout 10 systemctl reload brink
told_of_mistake() { inside journalctl -u brink --no-pager | grep -q 'test.yaml:2:'; }
promise_within 10 "it tells of rules with a mistake" told_of_mistake
reading four 15
promise_within 10 "goes on by those before" came OPEN four
promise "and as the same process" property_is MainPID "$pid"

inside systemctl stop brink
promise "it stops" property_is ActiveState inactive
promise "with success" test "$(property Result) $(property ExecMainStatus)" = "success 0"
said=$(near mosquitto_sub -p 1884 -t 'brink/+/status' -C 1 -W 5)
promise "and says that it is offline" grep -q '"offline"' <<<"$said"
say "systemd: all promises held"
