#!/usr/bin/env bash
# verify.sh [BUILD]: the unit as installed says nothing that systemd does not understand, and its
# sandbox leaves an exposure of at most 1.5. Needs no systemd at work.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/lib.sh
. tools/lib.sh
build=${1:-build}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

DESTDIR=$root meson install -C "$build" --no-rebuild --quiet || die "meson install failed"
unit=$(find "$root" -name brink.service)
[ -n "$unit" ] || die "no unit was installed"

# A root of its own, where the commands of the unit are, and the targets that it names.
mkdir -p "$root/lib/systemd/system" "$root/bin"
cp /lib/systemd/system/*.target "$root/lib/systemd/system/" || exit 1
cp /bin/sh "$root/bin/sh"
said=$(systemd-analyze --root="$root" --man=no verify brink.service 2>&1)
status=$?
# Units of the system itself that the empty root does not have are none of ours.
said=$(printf '%s\n' "$said" | grep -F brink.service)
if [ $status != 0 ] || [ -n "$said" ]; then
    die "systemd-analyze verify (status $status): $said"
fi
report=$(systemd-analyze security --offline=true --threshold=15 "$unit" 2>&1) || {
    printf '%s\n' "$report" | grep -v '^✓' >&2
    die "the sandbox leaves more exposure than 1.5"
}
printf 'unit: verified; %s\n' "$(printf '%s\n' "$report" | tail -n 1 | tr -cd '[:print:]')"
