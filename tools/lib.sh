# shellcheck shell=bash
# What ./run, ./test and the test scripts share. To be sourced by bash, not run.

# shellcheck disable=SC2034 # used by those who source this
if [ -t 1 ]; then
    BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
    BOLD='' DIM='' RED='' GREEN='' PLAIN=''
fi

# Seconds without a sign of life after which a long step says that it is still at work.
PULSE_SECONDS=${PULSE_SECONDS:-10}

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "${0##*/}: $*" >&2; }
die() { warn "$*"; exit 1; }

# as_root COMMAND...: as it stands for root, else through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        warn "this needs root or sudo: $*"
        return 1
    fi
}

# step LABEL COMMAND...: runs the command with its output kept aside, shows that it is alive, and on
# failure prints the end of what it said. Its status is the command's.
#
# The command stays in the foreground, here and below, so that a Ctrl-C reaches it.
step() {
    local label=$1 log status=0 began=$SECONDS pulse
    shift
    log=$(mktemp)
    [ -t 1 ] || printf '%s ...\n' "$label"
    step_pulse "$label" "$log" "$began" &
    pulse=$!
    ("$@") >"$log" 2>&1 </dev/null || status=$?
    kill "$pulse" 2>/dev/null || :
    wait "$pulse" 2>/dev/null || : # its status is that of the kill
    [ -t 1 ] && printf '\r\e[K'
    if [ "$status" = 0 ]; then
        printf '%s: %sdone%s in %ds\n' "$label" "$GREEN" "$PLAIN" "$((SECONDS - began))"
    else
        printf '%s: %sfailed%s (status %d) after %ds; the end of its output:\n' \
            "$label" "$RED" "$PLAIN" "$status" "$((SECONDS - began))"
        tail -n 60 "$log"
    fi
    rm -f "$log"
    return "$status"
}

step_pulse() {
    local label=$1 log=$2 began=$3 ticks=0
    # The sleep outlives this shell by a moment: it must not hold on to anybody's pipe.
    while sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        ticks=$((ticks + 1))
        if [ -t 1 ]; then
            printf '\r\e[K%s ... %ds' "$label" "$((SECONDS - began))"
        elif [ $((ticks % PULSE_SECONDS)) = 0 ]; then
            printf '  %s, %ds so far: %s\n' "$label" "$((SECONDS - began))" \
                "$(tail -n 1 "$log" | tr -dc '[:print:]' | cut -c1-70)"
        fi
    done
}

# live LABEL LOG COMMAND...: runs the command with its output shown as it comes and kept in LOG, and
# says that it is alive where it is silent for longer than the pulse.
live() {
    local label=$1 log=$2 status=0 began=$SECONDS pulse
    shift 2
    : >"$log"
    live_pulse "$label" "$log" "$began" &
    pulse=$!
    "$@" 2>&1 </dev/null | tee "$log"
    status=${PIPESTATUS[0]}
    kill "$pulse" 2>/dev/null || :
    wait "$pulse" 2>/dev/null || : # its status is that of the kill
    return "$status"
}

live_pulse() {
    local label=$1 log=$2 began=$3 size seen='' quiet=0
    while sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        size=$(stat -c %s "$log" 2>/dev/null)
        if [ "$size" != "$seen" ]; then
            seen=$size quiet=0
            continue
        fi
        quiet=$((quiet + 1))
        [ $((quiet % PULSE_SECONDS)) = 0 ] &&
            printf '  ... %s, %ds so far\n' "$label" "$((SECONDS - began))"
    done
}

# until_true SECONDS COMMAND...: waits for a condition; 1 when it did not come in time.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# free_ports N: N different loopback TCP ports that nothing listens on.
free_ports() {
    python3 - "$1" <<'PY'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
PY
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# stop_process PID [SECONDS]: asks it to end, and kills it if it does not in time.
stop_process() {
    local pid=$1 patience=$((${2:-10} * 10))
    kill "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        if [ "$patience" -le 0 ]; then
            kill -KILL "$pid" 2>/dev/null
            break
        fi
        patience=$((patience - 1))
        sleep 0.1
    done
    wait "$pid" 2>/dev/null
    return 0
}

# configure_tree FOLDER [MESON OPTION...]: configures FOLDER once, and anew when the options changed.
# A folder that somebody else configured is kept, with these options set in it.
configure_tree() {
    local folder=$1
    shift
    if [ -f "$folder/build.ninja" ] && [ "$(cat "$folder/.options" 2>/dev/null)" = "$*" ]; then
        return 0
    fi
    if [ -f "$folder/build.ninja" ] && [ ! -f "$folder/.options" ]; then
        meson setup --reconfigure "$folder" "$@" || return 1
    else
        rm -rf "$folder"
        meson setup "$folder" "$@" || return 1
    fi
    printf '%s' "$*" >"$folder/.options"
}

# runtime_packages BINARY: the Debian packages that hold the shared libraries it needs, those among
# them that it loads by itself.
runtime_packages() {
    local library
    {
        ldd "$1"
        ldconfig -p | grep -F "$(grep -ao 'libmicrohttpd\.so\.[0-9]*' "$1" || echo none)" |
            awk '{print $1, "=>", $NF}'
    } | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | while read -r library; do
        # dpkg knows a file by the path it was shipped under, on either side of the merged /usr.
        dpkg -S "$library" 2>/dev/null || dpkg -S "/usr$library" 2>/dev/null ||
            dpkg -S "${library#/usr}" 2>/dev/null || dpkg -S "$(readlink -f "$library")" ||
            return 1
    done | sed 's/:.*//' | sort -u
}
