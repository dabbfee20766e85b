#!/usr/bin/env bash
# verify.sh BINARY: the program was built with what the compiler and the linker offer against its own
# faults (docs/SECURITY.md), read from the ELF file itself.
set -u
# shellcheck source=tools/lib.sh
. "$(dirname "$0")/../../tools/lib.sh"
binary=${1-}
[ -f "$binary" ] || die "no such program: ${binary:-none given}"
export LC_ALL=C

header=$(readelf -hW "$binary") && segments=$(readelf -lW "$binary") &&
    dynamic=$(readelf -dW "$binary") && symbols=$(readelf -W --dyn-syms "$binary") ||
    die "readelf cannot read $binary"

missing=0
# holds WHAT TEXT PATTERN, lacks WHAT TEXT PATTERN
holds() { grep -qE "$3" <<<"$2" || { warn "$binary: $1"; missing=$((missing + 1)); }; }
lacks() { ! grep -qE "$3" <<<"$2" || { warn "$binary: $1"; missing=$((missing + 1)); }; }

holds "not position-independent" "$header" 'Type: +DYN'
holds "a shared object, not a program (PIE)" "$dynamic" 'FLAGS_1.* PIE'
holds "symbols are bound late (-z now)" "$dynamic" 'BIND_NOW|FLAGS_1.* NOW'
holds "tables stay writable (-z relro)" "$segments" '^ +GNU_RELRO'
holds "says nothing about its stack (-z noexecstack)" "$segments" '^ +GNU_STACK'
lacks "its stack is executable" "$segments" '^ +GNU_STACK.* RWE '
lacks "a segment is both writable and executable" "$segments" '^ +LOAD.* RWE '
lacks "code is relocated in place" "$dynamic" 'TEXTREL'
lacks "looks for libraries in a place of its own" "$dynamic" 'RPATH|RUNPATH'
holds "no stack protector" "$symbols" ' __stack_chk_fail(@|$)'
for call in memcpy snprintf vsnprintf; do
    holds "no _FORTIFY_SOURCE: ${call}() is not checked" "$symbols" " __${call}_chk(@|\$)"
done
[ $missing = 0 ] || exit 1
say "$binary: PIE, bound at start, read-only tables, no executable stack, stack protector, fortified"
