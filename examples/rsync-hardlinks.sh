#!/bin/sh
# A tree of a Windows host's C: for each backup; files that have not changed are hard links to those of the backup before.
#
#     rsync-hardlinks.sh HOST FOLDER
#
# FOLDER/2026-11-23T22.00.00/C/ is a backup, FOLDER/latest leads to the newest one. FOLDER/unfinished is none: the transfer
# failed, or its end could not be proved; the next one goes on from there. Who wants fewer backups deletes whole trees.
set -eu
umask 077
host=${1:?the name of a host} folder=${2:?the folder of its backups}
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$folder/unfinished/C"
folder=$(cd "$folder" && pwd)
exec 9>"$folder/.lock"
flock --nonblock 9 || { echo "$folder is in use by another backup" >&2; exit 1; }

# Windows' owners and rights mean nothing here: every file is the backup user's, so that it can be read and deleted again.
vsspc run "$host" --volume C: -- sh -c '
    exec rsync --recursive --links --times --one-file-system --no-perms --chmod=ugo=rwX --timeout=600 \
        --delete --delete-excluded --exclude-from="$1" --link-dest="$2/latest/C/" "$VSSPC_URL_C" "$2/unfinished/C/"
' sh "$here/excludes.txt" "$folder"

# Only now is it a backup: vsspc succeeds when rsync did, and the shadow copy was still there after it.
name=$(date +%Y-%m-%dT%H.%M.%S)
mv --no-target-directory "$folder/unfinished" "$folder/$name"
ln --symbolic --force --no-dereference "$name" "$folder/latest"
