#!/usr/bin/env bash
# test.sh [--prepare]: compose/ for real. With --prepare the images are built, and nothing more. Where no Docker daemon runs, a private one is started for the time of the
# test, with its images under build-docker/, and the machine's packet filter is put back afterwards.
# The images' Debian is made on the spot from the machine's own apt source, so no registry is asked.
# Needs root or sudo.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/lib.sh
. tools/lib.sh
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
if [ "$(id -u)" != 0 ]; then
    exec sudo "$0" "$@"
fi
. /etc/os-release
case ${1-} in
'') prepare=no ;;
--prepare) prepare=yes ;;
*) die "usage: $0 [--prepare]" ;;
esac

project=brink-test
scratch=$(mktemp -d)
dockerd=''
read -r mqtt_port http_port < <(free_ports 2)
export BRINK_MQTT_PORT=$mqtt_port BRINK_HTTP_PORT=$http_port
export BRINK_CONFIG=$scratch/config BRINK_BASE=brink-base:$VERSION_CODENAME
export COMPOSE_PROGRESS=plain BUILDKIT_PROGRESS=plain

compose() { docker compose -p "$project" -f compose/compose.yaml "$@"; }

leave() {
    trap '' INT TERM HUP
    [ $prepare = yes ] || compose down --volumes --rmi local --timeout 5 >/dev/null 2>&1
    if [ -n "$dockerd" ]; then
        stop_process "$dockerd" 30
        ip link del docker0 2>/dev/null
        # Tables that were not there before are not in the copy: they become empty first.
        iptables-restore <<'END'
*filter
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT
:INPUT ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
COMMIT
END
        iptables-restore <"$scratch/iptables"
        cat "$scratch/ip_forward" >/proc/sys/net/ipv4/ip_forward
    fi
    rm -rf "$scratch"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

if ! docker info >/dev/null 2>&1; then
    iptables-save >"$scratch/iptables" || die "iptables does not work here"
    cat /proc/sys/net/ipv4/ip_forward >"$scratch/ip_forward"
    mkdir -p build-docker
    export DOCKER_HOST=unix://$scratch/docker.sock
    setsid dockerd --host "$DOCKER_HOST" --data-root "$PWD/build-docker" \
        --exec-root "$scratch/exec" --pidfile "$scratch/docker.pid" \
        >"$scratch/dockerd.log" 2>&1 </dev/null &
    dockerd=$!
    until_true 30 docker info || {
        tail -n 20 "$scratch/dockerd.log" >&2
        die "dockerd did not start"
    }
fi

make_base() {
    tools/apt-source "$VERSION_CODENAME" >"$scratch/base.sources" || return 1
    mmdebstrap --variant=minbase "$VERSION_CODENAME" "$scratch/base.tar" "$scratch/base.sources" || return 1
    docker import -c 'CMD ["bash"]' "$scratch/base.tar" "$BRINK_BASE" && rm "$scratch/base.tar"
}
docker image inspect "$BRINK_BASE" >/dev/null 2>&1 ||
    step "making the base image of $VERSION_CODENAME" make_base || exit 1

cp -r config/demo "$scratch/config"
cp tests/compose/rules.yaml "$scratch/config/rules.d/test.yaml"
chmod -R a+rX "$scratch/config" && chmod a+x "$scratch"
step "building the images" compose build || exit 1
[ $prepare = no ] || exit 0
step "starting them, all healthy" compose up --wait --wait-timeout 120 || {
    compose ps
    compose logs --tail 30
    exit 1
}
python3 tests/compose/promises.py --project "$project" --broker "127.0.0.1:$mqtt_port" \
    --http "127.0.0.1:$http_port"
status=$?
if [ $status != 0 ]; then
    compose ps -a
    compose logs --tail 40 brink valkey mosquitto
fi
exit $status
