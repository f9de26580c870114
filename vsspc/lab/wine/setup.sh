#!/bin/sh
# setup.sh FOLDER: everything that the lab's second tier needs, in FOLDER: Debian's 32-bit Wine (extracted, not installed: the
# machine stays as it is), a prefix to start from, and the two programs of ours, compiled. Needs root. About 30 s from
# nothing, nothing to do when all is there; several at once wait for each other. The packages come from where apt has its own.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=$1
packages='mmdebstrap gcc-mingw-w64-i686-win32 util-linux'
cc=i686-w64-mingw32-gcc

say() { echo "real-paexec: $*" >&2; }
fail() { say "$*"; exit 1; }

[ "$(id -u)" = 0 ] || fail 'Wine is run in namespaces of its own, which needs root'
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
exec 9>"$folder.lock"
flock --timeout 300 9 || fail "another set-up has held $folder.lock for 300 s"

machine() {
    command -v mmdebstrap >/dev/null && command -v $cc >/dev/null && return
    log=$(mktemp)
    apt() { DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1; }
    say "installing $packages"
    apt install --no-install-recommends $packages || { apt update && apt install --no-install-recommends $packages; } ||
        { tail -n 5 "$log" >&2; fail "cannot install $packages (the whole story: $log)"; }
    rm -f "$log"
}

# Where apt has the main archive of this release from: not its updates, and nobody else's archive.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' "Release: $1" 'Component: main' 'Origin: Debian' | head -n 1
}

wine() {
    env -i HOME=/root USER=root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 WINEPREFIX=/prefix WINEARCH=win32 \
        WINESERVER=/usr/lib/wine/wineserver32 WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe=' \
        timeout 120 unshare --mount --propagation private \
        sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$folder" "$@" 9>&- >/dev/null 2>&1
}

extract() {
    say "extracting Debian's 32-bit Wine into $folder"
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    source=$(mirror "$release")
    [ -n "$source" ] || { apt-get -q update >/dev/null 2>&1; source=$(mirror "$release"); }
    [ -n "$source" ] || fail "apt knows no archive of Debian's $release main"
    if [ ! -e "$folder/ready" ] && [ ! -e "$folder.partial" ] && [ -n "$(ls -A "$folder")" ]; then
        fail "$folder holds what is not ours"
    fi
    touch "$folder.partial"
    find "$folder" -mindepth 1 -delete
    mmdebstrap --quiet --arch=i386 --variant=extract --include=wine32,libwine,libc6,libudev1,libunwind8 \
        "$release" "$folder" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $source $release main" 9>&- ||
        fail "mmdebstrap cannot get wine32 from $source"
    # What libwine's postinst would do: zlib's DLL, marked as Wine's own. Nothing starts without it.
    dll=usr/i686-w64-mingw32/lib/zlib1.dll
    { head -c 64 "$folder/$dll" && printf 'Wine builtin DLL' && head -c 16 /dev/zero && tail -c +97 "$folder/$dll"; } \
        >"$folder/usr/lib/i386-linux-gnu/wine/i386-windows/zlib1.dll"
    mkdir -p "$folder/proc" "$folder/tmp" "$folder/root" "$folder/lab" "$folder/etc"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$folder/etc/passwd"
    echo 'root:x:0:' >"$folder/etc/group"
    echo '127.0.0.1 localhost' >"$folder/etc/hosts"
}

# For some seconds a new prefix has two services.exe, which answer in turn: wait until all of it has ended.
prefix() {
    wine /usr/lib/wine/wine wineboot -i || fail 'wineboot cannot make a prefix'
    wine /usr/lib/wine/wineserver32 -w || fail 'the new prefix does not come to rest'
}

# Our programs, and Wine's cmd.exe without its debug sections: the lab puts its mark on a copy.
compile() {
    mkdir -p "$folder/programs"
    $cc -Wall -Werror -O1 -s -o "$folder/programs/bridge.exe" "$here/bridge.c" -lws2_32 -lntdll -ladvapi32
    $cc -Wall -Werror -Os -s -o "$folder/programs/standin.exe" "$here/standin.c" -lws2_32
    i686-w64-mingw32-strip -o "$folder/programs/cmd.exe" "$folder/prefix/drive_c/windows/system32/cmd.exe"
}

newer() { [ "$1" -nt "$2" ]; }

if [ ! -e "$folder/ready" ] || newer "$here/setup.sh" "$folder/ready"; then
    machine
    extract
    prefix
    touch "$folder/ready"
    rm "$folder.partial"
fi
built=$folder/programs/built
if [ ! -e "$built" ] || newer "$here/bridge.c" "$built" || newer "$here/standin.c" "$built" || newer "$folder/ready" "$built"; then
    machine
    compile
    touch "$built"
fi
