# What the commands in scripts/ and bench/ share: packages, a build, a throw-away server.
# To be sourced by bash. Environment:
#   PG_MAJOR=15             the PostgreSQL to use, from Debian's packages
#   PG_CONFIG=path          another PostgreSQL; its packages are then the caller's business
#   CARBONITE_INSTALLED=1   use the extension as it is installed; build nothing
# Everything temporary lies under $TEMP_DIR. Servers stop and $TEMP_DIR goes when the shell exits.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PG_MAJOR=${PG_MAJOR:-15}
PG_CONFIG_GIVEN=${PG_CONFIG:-}
PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/$PG_MAJOR/bin/pg_config}
SERVER_USER=${SERVER_USER:-postgres} # who runs the server if we are root, who must not
TEMP_DIR=$(mktemp -d /tmp/carbonite.XXXXXX) # not $TMPDIR: a socket's path must be short
chmod 711 "$TEMP_DIR"
SERVERS=()

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

clean_up() {
    local dir
    for dir in "${SERVERS[@]}"; do stop_server "$dir"; done
    rm -rf "$TEMP_DIR"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

as_root() {
    if is_root; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else
        say "This needs root: $*"
        say "Run it as root, or install sudo."
        return 1
    fi
}

# as_server_user COMMAND...: as $SERVER_USER if we are root, else as ourselves.
as_server_user() {
    if is_root; then runuser -u "$SERVER_USER" -- env PATH="$PATH" "$@"; else "$@"; fi
}

# quietly COMMAND...: shows its output only if it fails.
quietly() {
    local log
    log=$(mktemp "$TEMP_DIR/log.XXXXXX")
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        return 1
    fi
}

# pg_major: the major version of $PG_CONFIG.
pg_major() {
    if [ -x "$PG_CONFIG" ]; then "$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'; else echo "$PG_MAJOR"; fi
}

# server_packages: Debian packages that a build and a server need.
server_packages() {
    [ -n "$PG_CONFIG_GIVEN" ] || echo "postgresql-$PG_MAJOR postgresql-server-dev-$PG_MAJOR"
    [ -n "${CARBONITE_INSTALLED:-}" ] || echo "g++ make"
}

# require_packages PACKAGE...: installs those that are missing. A command of the same name will do.
require_packages() {
    local package missing=()
    for package in "$@"; do
        command -v "$package" >/dev/null ||
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "these Debian packages are missing, and there is no apt-get to install them: ${missing[*]}"
    say "Installing ${missing[*]} ..."
    quietly as_root apt-get -o DPkg::Lock::Timeout=550 update || die "could not update the package lists; missing: ${missing[*]}"
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=550 \
        install -y --no-install-recommends "${missing[@]}" || die "could not install ${missing[*]}"
}

# copy_tree DIR: the sources as they are now, without what a build left in them.
copy_tree() {
    local list=$TEMP_DIR/files
    mkdir -p "$1"
    if [ -e "$ROOT/.git" ] && git -c safe.directory='*' -C "$ROOT" \
        ls-files -z --cached --others --exclude-standard >"$list" 2>/dev/null; then
        # a file that is deleted but not yet committed is still listed
        (cd "$ROOT" && while IFS= read -r -d '' file; do
            if [ -e "$file" ]; then printf '%s\0' "$file"; fi
        done <"$list" | tar -c --null -T - -f -) | tar -x --no-same-owner -C "$1" -f -
    else
        tar -c -C "$ROOT" --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
            --exclude='./carbonite--*.sql' -f - . | tar -x --no-same-owner -C "$1" -f -
    fi
}

# build_and_install [DIR]: builds a copy of the tree in DIR and installs it for $PG_CONFIG.
build_and_install() {
    local dir=${1:-$TEMP_DIR/build} install=as_root
    [ -x "$PG_CONFIG" ] || die "there is no $PG_CONFIG; set PG_MAJOR or PG_CONFIG"
    [ -z "${CARBONITE_INSTALLED:-}" ] || return 0
    say "Building for $("$PG_CONFIG" --version) ..."
    copy_tree "$dir"
    quietly make -C "$dir" -j "$(nproc)" PG_CONFIG="$PG_CONFIG" || die "the build failed"
    if [ -w "$("$PG_CONFIG" --pkglibdir)" ] && [ -w "$("$PG_CONFIG" --sharedir)/extension" ]; then install=; fi
    quietly $install make -C "$dir" install PG_CONFIG="$PG_CONFIG" || die "make install failed"
}

# plugin_setting: the setting that lets servers which have it use the output plugin.
plugin_setting() {
    if grep -qa output_plugin_libraries "$("$PG_CONFIG" --bindir)/postgres"; then
        echo "output_plugin_libraries='pgoutput,test_decoding,wal2json,carbonite'"
    fi
}

# start_server DIR [SETTING...]: a new cluster in DIR, reached through a socket there only.
# Later psql and pgbench commands of this shell go to it, as its superuser postgres.
start_server() {
    local dir=$1
    shift
    [ -x "$PG_CONFIG" ] || die "there is no $PG_CONFIG; set PG_MAJOR or PG_CONFIG"
    PATH=$("$PG_CONFIG" --bindir):$PATH
    mkdir -p "$dir"
    chmod 700 "$dir"
    if is_root; then chown "$SERVER_USER" "$dir"; fi
    unset PGDATA PGOPTIONS PGSERVICE PGPASSWORD PGSSLMODE PGHOSTADDR
    export PGHOST=$dir PGPORT=54329 PGUSER=postgres PGDATABASE=postgres PGCLIENTENCODING=UTF8
    (
        cd / # which the server's user can read
        as_server_user initdb -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$TEMP_DIR/initdb" 2>&1
    ) || { cat "$TEMP_DIR/initdb" >&2; die "initdb failed"; }
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$dir'" "port = $PGPORT" \
        "fsync = off" "$@" >>"$dir/data/postgresql.conf"
    (cd / && as_server_user pg_ctl -D "$dir/data" -l "$dir/log" -w -s start) ||
        { tail -n 20 "$dir/log" >&2; die "the server does not start"; }
    SERVERS+=("$dir")
}

# stop_server DIR: stops the server that was started in DIR.
stop_server() {
    local dir=$1 other others=()
    (cd / && as_server_user pg_ctl -D "$dir/data" -m fast -w -s stop) || say "could not stop the server in $dir"
    for other in "${SERVERS[@]}"; do
        if [ "$other" != "$dir" ]; then others+=("$other"); fi
    done
    SERVERS=("${others[@]}")
}

# run_psql ARGUMENT...: psql without the user's psqlrc, that stops at the first error.
run_psql() { psql -X -q -v ON_ERROR_STOP=1 -P pager=off "$@"; }
