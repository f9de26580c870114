#!/bin/sh
# Installs the Debian packages that the lab and the tests need; only those that are missing, and nothing when none is.
# No service is started by it, and none of those that it brings is left enabled. As another user than root it uses sudo.
set -eu

PACKAGES='samba libnss-wrapper libuid-wrapper rsync backuppc backuppc-rsync libbackuppc-xs-perl
libfaketime micro-httpd msmtp-mta iputils-ping util-linux python3-venv
rsnapshot borgbackup restic
chromium fonts-dejavu-core groff-base
krb5-kdc krb5-admin-server libkrb5-dev gcc python3-dev'
# By lines: the lab and BackupPC; the examples; the documents' pictures and manual pages; the lab's KDC, and what the Python
# packages for Kerberos are compiled with (they come as source only).

say() { echo "setup: $*"; }

# Packages of the list that are not installed. (`install ok installed` is the only state that counts.)
missing() {
    for package in $PACKAGES; do
        case $(dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null || true) in
        'install ok installed') ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

command -v dpkg-query >/dev/null || { say "this is no Debian; install by hand: $(echo $PACKAGES)"; exit 1; }
needed=$(missing)
[ -n "$needed" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { say "not root, and no sudo; install these first: $needed"; exit 1; }
    ask=-n
    if [ -t 0 ]; then ask=; fi
    sudo $ask sh "$0" || { say "sudo was refused or the installation failed; install these first: $needed"; exit 1; }
    exit 0
fi

# Debian's maintainer scripts ask this file before they start a service; 101 means no.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi

say "installing $needed"
log=$(mktemp)
apt() {
    DEBIAN_FRONTEND=noninteractive timeout 900 apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$log" 2>&1
}
# The first attempt fails where there are no package lists yet, or old ones.
apt install --no-install-recommends $needed || { apt update && apt install --no-install-recommends $needed; } || {
    tail -n 15 "$log"
    say "cannot be installed: $(missing)(the whole story: $log)"
    exit 1
}
rm -f "$log"

# A new package's services would start at the next boot. Those of packages that were here before stay as they are.
if command -v systemctl >/dev/null; then
    for package in $needed; do
        for unit in $(dpkg-query --listfiles "$package" | sed -n 's,^\(/usr\)\{0,1\}/lib/systemd/system/\([^/@]*\.\(service\|socket\)\)$,\2,p'); do
            systemctl disable "$unit" >/dev/null 2>&1 || true
        done
    done
fi
