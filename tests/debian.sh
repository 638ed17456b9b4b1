#!/bin/sh
# Makes sure that the tests can look at what they render (chromium for HTML, poppler-utils for PDF) and query a
# real server (postgresql).
# Where they cannot be installed, the tests that need them are skipped; this script never fails.
postgres() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
if command -v chromium >/dev/null 2>&1 && command -v pdftoppm >/dev/null 2>&1 && postgres; then
    exit 0
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    command -v sudo >/dev/null 2>&1 || as_root=none
fi
if command -v apt-get >/dev/null 2>&1 && [ "$as_root" != none ]; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    { $as_root apt-get update -qq && $as_root apt-get install -y -qq chromium poppler-utils postgresql; } >/dev/null 2>&1
fi
for tool in chromium pdftoppm; do
    command -v "$tool" >/dev/null 2>&1 || echo "$tool is not here and cannot be installed: the tests that need it are skipped"
done
postgres || echo "postgresql is not here and cannot be installed: the tests that need it are skipped"
exit 0
