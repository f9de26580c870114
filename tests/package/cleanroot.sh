#!/bin/sh
# cleanroot.sh FOLDER: a Debian of the machine's release in FOLDER, with BackupPC as Debian ships it, without vsspc.
# Needs root. Half a minute from nothing, nothing to do when it is there; several at once wait for each other. It is
# made once (anew when this script has changed) and never written to: tests work in layers over it. The packages come
# from where apt has its own.
set -eu

folder=$1
# What BackupPC asks for, and what its settings name, which its server refuses to start without; what vsspc asks for;
# python3-venv and make for `make install`; logrotate to run our file through it.
packages='backuppc micro-httpd msmtp-mta iputils-ping smbclient samba-common-bin openssh-client rsync python3-venv make
logrotate'

say() { echo "cleanroot: $*" >&2; }
fail() { say "$*"; exit 1; }

[ "$(id -u)" = 0 ] || fail 'a root of its own is for root'
mkdir -p "$(dirname "$folder")"
folder=$(cd "$(dirname "$folder")" && pwd)/$(basename "$folder")
exec 9>"$folder.lock"
flock --timeout 300 9 || fail "another set-up has held $folder.lock for 300 s"
cmp -s "$0" "$folder.ready" && exit 0

command -v mmdebstrap >/dev/null || {
    log=$(mktemp)
    apt() {
        DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" \
            </dev/null >>"$log" 2>&1 9>&-
    }
    say 'installing mmdebstrap'
    apt install --no-install-recommends mmdebstrap ||
        { apt update && apt install --no-install-recommends mmdebstrap; } ||
        { tail -n 5 "$log" >&2; fail "cannot install mmdebstrap (the whole story: $log)"; }
    rm -f "$log"
}

# Where apt has the main archive of this release from: not its updates, and nobody else's archive.
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror() {
    apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' "Release: $release" 'Component: main' 'Origin: Debian' | head -n 1
}
source=$(mirror)
[ -n "$source" ] || { apt-get -q update >/dev/null 2>&1 9>&-; source=$(mirror); }
[ -n "$source" ] || fail "apt knows no archive of Debian's $release main"

say "installing Debian's BackupPC into $folder"
rm -f "$folder.ready"
[ ! -e "$folder" ] || [ -e "$folder.partial" ] || [ -x "$folder/usr/bin/dpkg" ] ||
    fail "$folder holds what is not ours"
touch "$folder.partial"
rm -rf --one-file-system "$folder"
mmdebstrap --quiet --variant=minbase --include="$(echo $packages | tr ' ' ,)" \
    "$release" "$folder" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $source $release main" \
    >&2 9>&- ||
    fail "mmdebstrap cannot make it from $source"
# Names are looked up in its own table only: nothing in it has to ask the network.
echo '127.0.0.1 localhost' >"$folder/etc/hosts"
: >"$folder/etc/resolv.conf"
rm -f "$folder.partial"
cp "$0" "$folder.ready"
