#!/bin/sh
# lock.sh: chooses anew, within the bounds of setup.cfg, the version of every Python package, and writes locks/: each
# with the hashes of its files, so that no index can hand us another file under that name. `build` is what packages that
# come as source are built with, `product` what `make install` and `make deb` put beside vsspc, `kerberos` and `keyring`
# the same with that extra, `all` what .venv has.
# For the Python that PYTHON is (/usr/bin/python3); asks the index that pip is configured with.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

"${PYTHON:-/usr/bin/python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-input --disable-pip-version-check 'pip-tools>=7.4'
cp -R "$checkout/setup.cfg" "$checkout/pyproject.toml" "$checkout/README.md" "$checkout/LICENSE" "$checkout/vsspc" "$work"
cd "$work"
compiled() {
    name=$1
    shift
    "$work/venv/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --output-file "$name.txt" "$@"
}
# vsspc itself needs setuptools, gssapi and krb5 are written in Cython.
printf '%s\n' 'setuptools>=78.1.1' 'Cython>=3.1' >build.in
compiled build build.in
compiled product setup.cfg
compiled kerberos --extra kerberos --constraint product.txt setup.cfg
compiled keyring --extra keyring --constraint product.txt setup.cfg
compiled all --all-extras --constraint product.txt setup.cfg
for name in build product kerberos keyring all; do
    {
        echo "# Made by vsspc/packaging/lock.sh (\`make lock\`) for Python $("$work/venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')."
        cat "$name.txt"
    } >"$here/locks/$name.txt"
    echo "lock: $name: $(grep -c '==' "$name.txt") packages"
done
