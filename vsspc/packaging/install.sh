#!/bin/sh
# install.sh [PREFIX]: vsspc for BackupPC in PREFIX (/opt/vsspc): a virtual environment with vsspc and what it needs,
# bin/vsspc, the shims, examples, documentation, manual pages and the shells' completions, with PREFIX in their paths;
# then the configuration's first file and what folders.sh makes. Needs root, python3 with its venv module, and pip as
# this machine has it configured. Run again, it replaces what is in PREFIX and leaves configuration and state alone.
# EXTRAS: what vsspc can do with more packages, of `kerberos` and `keyring`, separated by spaces. Each Python package is of
# the version, and one of the files, that locks/ names.
# With DESTDIR set it puts all of it below that folder and stops there, without root: the package is made of that.
# PYTHON: the interpreter that the environment is made from (/usr/bin/python3).
set -eu
umask 022
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
prefix=${1:-/opt/vsspc}
python=${PYTHON:-/usr/bin/python3}
destination=${DESTDIR:-}
extras=${EXTRAS:-}
options='--quiet --quiet --no-input --disable-pip-version-check'
parts='.venv bin shims share docs examples README.md CHANGELOG.md LICENSE'

say() { echo "install: $*"; }
fail() { echo "install: $*" >&2; exit 1; }

# BackupPC splits its commands at white space, and the paths are written into programs: nothing that needs quoting.
case $prefix in
/ | */ | [!/]* | *[!A-Za-z0-9/._+-]* | *//* | */../* | */.. | */./* | */.)
    fail "PREFIX must be a plain absolute path, not '$prefix'" ;;
esac
[ ! -e "$prefix/.git" ] || fail "$prefix is a checkout; install from a checkout that is elsewhere"
locks="-r $here/locks/product.txt"
for extra in $extras; do
    case $extra in
    kerberos | keyring) locks="$locks -r $here/locks/$extra.txt" ;;
    *) fail "EXTRAS may have kerberos and keyring, not '$extra'" ;;
    esac
done
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is not Python 3.11 or newer"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python makes no environments; install python3-venv"

work=
clean() {
    [ -z "$work" ] || rm -rf "$work"
    [ -n "$destination" ] || rmdir "$prefix" 2>/dev/null || :
}
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "$destination" ]; then
    mkdir -p "$destination"
    tree=$(cd "$destination" && pwd)
    work=$(mktemp -d)
else
    [ "$(id -u)" = 0 ] || fail 'only root may do this'
    ! dpkg-query --search "$prefix/bin/vsspc" >/dev/null 2>&1 || fail "$prefix is of the package vsspc; remove it first"
    getent passwd backuppc >/dev/null || fail 'there is no user backuppc; install BackupPC first'
    # Beside the place it goes to, so that each part is put there by a rename. What an earlier one that was killed left
    # may go, now that the lock says that none works here.
    mkdir -p "$prefix"
    exec 9<"$prefix"
    flock --nonblock 9 || fail "another installation works in $prefix"
    rm -rf "$prefix"/.new.??????
    work=$(mktemp -d "$prefix/.new.XXXXXX")
    tree=$work/tree
    mkdir "$tree"
fi
root=$tree$prefix
site=$root/.venv

# pip builds in a copy: a checkout's own build folder may hold modules that are no more.
say "the environment for $prefix, with $("$python" --version)"
mkdir "$work/source"
(cd "$checkout" && cp -R vsspc setup.cfg pyproject.toml README.md LICENSE "$work/source")
mkdir -p "$root"
"$python" -m venv "$site"
locked="$site/bin/python3 -m pip install $options --no-compile --require-hashes --no-build-isolation"
$locked -r "$here/locks/build.txt"
$locked $locks
"$site/bin/python3" -m pip install $options --no-compile --no-deps --no-build-isolation "$work/source"
"$site/bin/python3" -m pip uninstall $options --yes cython setuptools pip
rm -f "$site"/bin/activate* "$site"/bin/Activate.ps1
find "$site" -name __pycache__ -prune -exec rm -r {} +

# All of it was told that it lives below the tree. A script's line in pip's RECORD loses its hash with the change, and
# nothing is kept of the folder that vsspc was built in.
library=$(echo "$site"/lib/python3.*/site-packages)
rm "$library"/vsspc-*.dist-info/direct_url.json
sed -i -e '/direct_url\.json,/d' "$library"/vsspc-*.dist-info/RECORD
sed -i -e 's|^\(\.\./\.\./\.\./bin/[^,]*\),.*|\1,,|' "$library"/*.dist-info/RECORD
grep -rlIF "$tree/" "$site" | while IFS= read -r file; do sed -i "s|$tree/|/|g" "$file"; done
"$site/bin/python3" -m compileall -q -s "$tree" -p / "$library"
"$site/bin/python3" -B -P "$here/manual.py" "$root/share"

mkdir "$root/bin"
ln -s ../.venv/bin/vsspc "$root/bin/vsspc"
(cd "$checkout" && cp README.md CHANGELOG.md LICENSE "$root" && cp -R docs examples shims "$root")
find "$root/shims" "$root/examples" "$root/share/man" -type f -exec sed -i "s|/opt/vsspc/|$prefix/|g" {} +
cp "$here/folders.sh" "$root/share"
chmod 755 "$root"/shims/vsspc-* "$root/share/folders.sh"

mkdir -p "$tree/etc/vsspc" "$tree/etc/logrotate.d"
sed "s|/opt/vsspc/|$prefix/|g" "$here/vsspc.toml" >"$tree/etc/vsspc/vsspc.toml"
cp "$here/logrotate" "$tree/etc/logrotate.d/vsspc"
[ -z "$destination" ] || exit 0

# Nothing may come between the old parts' end, in the folder that is removed at last, and the new ones.
trap '' HUP INT TERM
for part in $parts; do
    [ ! -e "$prefix/$part" ] || mv "$prefix/$part" "$work"
    mv "$root/$part" "$prefix"
done
sh "$prefix/share/folders.sh"
for file in etc/vsspc/vsspc.toml etc/logrotate.d/vsspc; do
    [ -e "/$file" ] || cp "$tree/$file" "/$file"
done
say "vsspc $("$prefix/bin/vsspc" --version | sed 's/.* //') is in $prefix; what to do next: $prefix/docs/install.md"
