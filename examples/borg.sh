#!/bin/sh
# A Windows host's C: in a repository of borg's.
#
#     borg.sh HOST CACHE REPOSITORY
#
# borg reads files, and cannot read rsync's protocol: so rsync brings the shadow copy into the folder CACHE first, where it
# stays, and borg stores that. It costs the room of one copy on this server; only what has changed is transferred, and the
# host holds its shadow copy no longer than rsync needs. The repository is there already (borg init), its pass phrase where
# borg looks for it (BORG_PASSCOMMAND). `borg prune` is for another day: nothing is deleted here.
set -eu
umask 077
host=${1:?the name of a host} cache=${2:?the folder of its files} repository=${3:?a repository of borg}
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$cache/C"
cache=$(cd "$cache" && pwd)
exec 9>"$cache/.lock"
flock --nonblock 9 || { echo "$cache is in use by another backup" >&2; exit 1; }

# Windows' owners and rights mean nothing here: every file is the backup user's.
vsspc run "$host" --volume C: -- sh -c '
    exec rsync --recursive --links --times --one-file-system --no-perms --chmod=ugo=rwX --timeout=600 \
        --delete --delete-excluded --exclude-from="$1" "$VSSPC_URL_C" "$2/C/"
' sh "$here/excludes.txt" "$cache"

# Only what was proved is stored: vsspc succeeds when rsync did, and the shadow copy was still there after it.
case $repository in
/* | *:*) ;;
*) repository=$(pwd)/$repository ;;
esac
cd "$cache"
exec borg create --compression zstd "$repository::$host-{utcnow}" C
