#!/bin/sh
# folders.sh [anew]: the folders and the file that vsspc needs outside of its own, each with its rights, whatever the
# umask. Run as root at every installation, by the package and by `make install`. What is there keeps the owner and the
# rights that it was given, but for `anew`: dpkg makes /etc/vsspc before there is anybody to give it to.
set -eu
anew=${1:-}

# folder MODE OWNER PATH
folder() { [ -d "$3" ] && [ -z "$anew" ] || install -d -m "$1" -o "$2" -g backuppc "$3"; }

folder 0750 root /etc/vsspc
folder 0750 root /etc/vsspc/bundle
folder 0700 backuppc /var/lib/vsspc
folder 0750 backuppc /var/log/vsspc

# BackupPC's user must be able to read it, and nobody else.
if [ ! -e /etc/vsspc/credentials ]; then
    install -m 0600 -o backuppc -g backuppc /dev/stdin /etc/vsspc/credentials <<'END'
# The account that vsspc works with on the hosts: an administrator there. It must stay 0600 and backuppc's own.
#username = backup
#password =
#domain = EXAMPLE
END
fi
