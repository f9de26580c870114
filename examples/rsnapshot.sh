#!/bin/sh
# A Windows host's C: in rsnapshot's daily backups.
#
#     rsnapshot.sh HOST FOLDER
#
# FOLDER/daily.0/HOST/C/ is the newest backup. rsnapshot fetches into FOLDER/.sync first (`sync_first`) and turns the backups
# over only after that succeeded, and the shadow copy was proved to have outlived it. More levels: a `retain` line for each,
# and `rsnapshot -c FOLDER/rsnapshot.conf weekly` from cron; they need no snapshot of the host.
set -eu
umask 077
host=${1:?the name of a host} folder=${2:?the folder of its backups}
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
exec 9>"$folder/.lock"
flock --nonblock 9 || { echo "$folder is in use by another backup" >&2; exit 1; }

# The daemon has another port in each run, so its URL is written into the configuration when it is known. Words are parted
# by tabs there. Windows' owners and rights mean nothing here: every file is the backup user's.
vsspc run "$host" --volume C: -- sh -euc '
    {
        printf "%s\t" config_version && echo 1.2
        printf "%s\t" snapshot_root && echo "$2/"
        printf "%s\t" no_create_root && echo 1
        printf "%s\t" lockfile && echo "$2/rsnapshot.pid"
        printf "%s\t" cmd_rsync && command -v rsync
        printf "%s\t" cmd_cp && command -v cp
        printf "%s\t" sync_first && echo 1
        printf "%s\t%s\t" retain daily && echo 7
        printf "%s\t" rsync_short_args && echo -rlt
        printf "%s\t" rsync_long_args && echo --delete --delete-excluded --no-perms --chmod=ugo=rwX --timeout=600
        printf "%s\t" one_fs && echo 1
        printf "%s\t" exclude_file && echo "$1"
        printf "%s\t%s\t%s\n" backup "$VSSPC_URL_C" "$VSSPC_HOST/C/"
    } >"$2/rsnapshot.conf"
    exec rsnapshot -c "$2/rsnapshot.conf" sync
' sh "$here/excludes.txt" "$folder"

rsnapshot -c "$folder/rsnapshot.conf" daily
