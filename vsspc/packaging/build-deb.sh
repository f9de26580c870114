#!/bin/sh
# build-deb.sh FOLDER: the Debian package of this checkout in FOLDER; its name is the last line. Needs what install.sh
# needs, and no root. The package is for the release and the architecture that it was built on: the environment in it
# has compiled modules, and depends on this Python.
# DEB_COMPRESSION: what dpkg-deb(1) takes as -Z (xz).
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
maintainer='The vsspc developers <vsspc@example.org>'
python=/usr/bin/python3
prefix=/opt/vsspc

# 1.0rc1 is before 1.0, for Debian too (deb-version(7)).
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$checkout/vsspc/__init__.py" |
    sed 's/\.\{0,1\}\(a\|b\|rc\|dev\)\([0-9]\)/~\1\2/')
[ -n "$version" ] || { echo "package: vsspc/__init__.py has no version" >&2; exit 1; }
architecture=$(dpkg --print-architecture)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
root=$work/root

DESTDIR=$root PYTHON=$python sh "$here/install.sh" "$prefix"
chmod 750 "$root/etc/vsspc"
mkdir -p "$root/usr/bin" "$root/usr/share/doc/vsspc" "$root/DEBIAN"
ln -s "$prefix/bin/vsspc" "$root/usr/bin/vsspc"
# Where Debian's man and shells look: bash-completion(7) and fish as they are, zsh in a folder of its own.
mv "$root$prefix/share/man" "$root$prefix/share/bash-completion" "$root$prefix/share/fish" "$root/usr/share"
gzip -9n "$root"/usr/share/man/man1/*
mkdir "$root/usr/share/zsh"
mv "$root$prefix/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"
rmdir "$root$prefix/share/zsh"
gzip -9n <"$checkout/CHANGELOG.md" >"$root/usr/share/doc/vsspc/changelog.gz"
{
    printf 'vsspc %s\n\n' "$version"
    cat "$checkout/LICENSE"
    printf '\nIn %s/.venv there are also these Python packages, each under its own licence;\n' "$prefix"
    printf 'the texts are in lib/python3.*/site-packages/NAME-VERSION.dist-info there:\n\n'
    "$root$prefix/.venv/bin/python3" -c '
from importlib.metadata import distributions
for one in sorted(distributions(), key=lambda one: one.name.lower()):
    facts = one.metadata
    classifiers = [line.rpartition(" :: ")[2] for line in facts.get_all("Classifier", []) if line.startswith("License")]
    licence = facts.get("License-Expression") or ", ".join(classifiers) or facts.get("License", "see there")
    if one.name != "vsspc":
        print(f"  {one.name} {one.version}: {licence.splitlines()[0]}")'
    printf '\npypsexec has in it paexec.exe: PAExec, by Power Admin LLC, under the PAExec licence.\n'
} >"$root/usr/share/doc/vsspc/copyright"

this_python() {
    "$python" -c 'import sys; a, b = sys.version_info[:2]; print(f"python3 (>= {a}.{b}), python3 (<< {a}.{b + 1})")'
}
libc=$(getconf GNU_LIBC_VERSION | sed 's/.* //')
size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@MAINTAINER@|$maintainer|" \
    -e "s|@SIZE@|$size|" -e "s|@PYTHON@|$(this_python)|" \
    -e "s|@LIBC@|libc6 (>= $libc)|" "$here/debian/control" >"$root/DEBIAN/control"
for script in preinst postinst prerm postrm; do
    install -m 755 "$here/debian/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find etc -type f -printf '/%p\n' | sort) >"$root/DEBIAN/conffiles"
(cd "$root" && find opt usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

package=$folder/vsspc_${version}_$architecture.deb
dpkg-deb --root-owner-group "-Z${DEB_COMPRESSION:-xz}" --build "$root" "$work/package" >/dev/null
mv "$work/package" "$package"
echo "$package"
