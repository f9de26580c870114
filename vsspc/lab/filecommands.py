"""cmd's internal commands that work on files and folders: cd, md, rd, del, ren, copy, move, type, dir, mklink.

Where cmd is odd, this is odd too: DEL always clears the errorlevel, RD never touches it. Which command sets it:
D. Benham, "Which cmd.exe internal commands clear the ERRORLEVEL to 0 upon success?" (Stack Overflow 34968009).
"""

from __future__ import annotations

import errno
import os
import shutil

from vsspc.lab import cmdlang
from vsspc.lab.cmdlang import CmdError
from vsspc.lab.paths import GLOBALROOT, NoSuchDrive, entry, is_windows_target, normalise
from vsspc.lab.terminal import DENIED, NO_FILE, NO_PATH, Sharing, Terminal, claim, is_pattern, reason


class FileCommands(Terminal):
    """The commands; each returns the code that `&&` and `||` see."""

    def do_cd(self, rest: str) -> int:
        words = rest.strip()
        change_drive = words[:2].lower() == "/d"
        target = words[2:].strip() if change_drive else words
        target = target.replace('"', "")
        if not target:
            self.out(self.cwd)
        else:
            full = normalise(target, self.cwd)
            if full[:2] != self.cwd[:2] and not change_drive:
                raise cmdlang.Unsupported("cd to another drive without /d")
            if not os.path.isdir(self.local(full)):
                raise NoSuchDrive(errno.ENOENT, "no such folder", full)
            self.change_folder(full)
        self.errorlevel = 0
        return 0

    do_chdir = do_cd

    def do_md(self, rest: str) -> int:
        _, names = self.switches(rest)
        if not names:
            raise CmdError("The syntax of the command is incorrect.", 1)
        self.errorlevel = 0
        for name in names:
            local = self.local(name)
            if os.path.lexists(local):
                self.err(f"A subdirectory or file {name} already exists.")
                self.errorlevel = 1
            else:
                os.makedirs(local, mode=0o755)
        return self.errorlevel

    do_mkdir = do_md

    def do_rd(self, rest: str) -> int:
        """RD never sets the errorlevel, but || sees its failure."""
        flags, names = self.switches(rest)
        if flags - {"/s", "/q"}:
            raise cmdlang.Unsupported(f"rd{rest}")
        code = 0
        for name in names:
            try:
                local = self.local(name, follow=False)
                if os.path.islink(local):
                    os.unlink(local)
                elif not os.path.lexists(local):
                    raise FileNotFoundError(errno.ENOENT, "missing", local)
                elif not os.path.isdir(local):
                    self.err("The directory name is invalid.")
                    code = 267
                elif "/s" in flags:
                    if "/q" not in flags:
                        raise cmdlang.Unsupported("rd /s without /q asks")
                    code = self.remove_tree(local) or code
                elif os.listdir(local):
                    self.err("The directory is not empty.")
                    code = 145
                else:
                    claim(local)
                    os.rmdir(local)
            except OSError as error:
                self.err(reason(error))
                code = 2 if isinstance(error, FileNotFoundError) else 32
        return code

    do_rmdir = do_rd

    def remove_tree(self, local: str) -> int:
        """Delete a folder and what is in it, never through a link; go on where something is in use."""
        code = 0
        for name in os.listdir(local):
            path = os.path.join(local, name)
            try:
                if os.path.isdir(path) and not os.path.islink(path):
                    code = self.remove_tree(path) or code
                else:
                    claim(path)
                    os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.err(f"{path.rpartition('/')[2]} - {DENIED if isinstance(error, Sharing) else reason(error)}")
                code = 32
        if not code:
            try:
                claim(local)
                os.rmdir(local)
            except OSError as error:
                self.err(reason(error))
                code = 32
        return code

    def do_del(self, rest: str) -> int:
        """DEL always clears the errorlevel, also when it fails."""
        flags, names = self.switches(rest)
        if flags - {"/f", "/q", "/a"}:
            raise cmdlang.Unsupported(f"del{rest}")
        if not names:
            raise CmdError("The syntax of the command is incorrect.", 1)
        self.errorlevel = 0
        for name in names:
            wild = is_pattern(name)
            found = self.matching(name, folders=False) if wild else [name]
            for each in found:
                local = self.local(each, follow=False)
                if is_folder(local):
                    raise cmdlang.Unsupported(f"del of a folder: {each}")
                if not os.path.lexists(local):
                    found = []
                    break
                try:
                    claim(local)
                    os.unlink(local)
                except OSError as error:
                    self.err(f"{normalise(each, self.cwd)}\r\n{DENIED if self.is_image(local) else reason(error)}")
            if not found:
                self.err("Could Not Find " + (name if wild else normalise(name, self.cwd)))
        return 0

    do_erase = do_del

    def do_mklink(self, rest: str) -> int:
        """Make a directory link. Whether there is anything at its target is not checked."""
        flags, names = self.switches(rest)
        if flags != {"/d"} or len(names) != 2:
            raise cmdlang.Unsupported(f"mklink{rest}: the lab knows mklink /d")
        place = self.local(names[0], follow=False)
        if os.path.lexists(place):
            self.err("Cannot create a file when that file already exists.")
            self.errorlevel = 1
            return 1
        device = names[1].upper().startswith(GLOBALROOT)
        os.symlink(names[1] if device else "\\??\\" + normalise(names[1], self.cwd), place)
        self.out(f"symbolic link created for {names[0]} <<===>> {names[1]}")
        self.errorlevel = 0
        return 0

    def do_ren(self, rest: str) -> int:
        _, names = self.switches(rest)
        if len(names) != 2 or "\\" in names[1] or ":" in names[1]:
            raise CmdError("The syntax of the command is incorrect.", 1)
        source = self.local(names[0], follow=False)
        target = os.path.join(os.path.dirname(source), names[1])
        other = entry(os.path.dirname(source), names[1])
        if not os.path.lexists(source):
            self.err(NO_FILE if os.path.isdir(os.path.dirname(source)) else NO_PATH)
            self.errorlevel = 1
        elif other is not None and other != source:
            self.err("A duplicate file name exists, or the file\r\ncannot be found.")
            self.errorlevel = 1
        else:
            claim(source)
            os.rename(source, target)
            self.errorlevel = 0
        return self.errorlevel

    do_rename = do_ren

    def do_copy(self, rest: str) -> int:
        # Times and attributes come with the data (CopyFile): so a copied program can be locked like any other.
        return self.transfer(rest, shutil.copy2, "copied")

    def do_move(self, rest: str) -> int:
        return self.transfer(rest, os.replace, "moved")

    def transfer(self, rest: str, act: object, verb: str) -> int:
        flags, names = self.switches(rest)
        if flags - {"/y", "/b"} or len(names) != 2 or any(set(name) & set("*?+") for name in names):
            raise cmdlang.Unsupported(f"{verb}{rest}")
        source, target = self.local(names[0]), self.local(names[1])
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(source))
        if not os.path.isfile(source):
            self.err(NO_FILE)
            self.errorlevel = 1
            return 1
        if os.path.exists(target):
            claim(target)
        assert callable(act)
        act(source, target)
        self.out(f"        1 file(s) {verb}.")
        self.errorlevel = 0
        return 0

    def do_type(self, rest: str) -> int:
        _, names = self.switches(rest)
        for name in names:
            with open(self.local(name), "rb") as stream:
                while data := stream.read(65536):
                    self.write(1, data)
        self.errorlevel = 0
        return 0

    def do_dir(self, rest: str) -> int:
        flags, names = self.switches(rest)
        if flags != {"/b"}:
            raise cmdlang.Unsupported(f"dir{rest}: the lab knows dir /b")
        pattern = names[0] if names else "."
        if not is_pattern(pattern):
            pattern = pattern.rstrip("\\") + "\\*" if os.path.isdir(self.local(pattern)) else pattern
        found = self.matching(pattern) if is_pattern(pattern) else [n for n in [pattern] if self.exists(n)]
        for each in found:
            self.out(each.rpartition("\\")[2])
        if not found:
            self.err("File Not Found")
        self.errorlevel = 0 if found else 1
        return self.errorlevel

    def is_image(self, local: str) -> bool:
        return local.lower().endswith((".exe", ".dll"))


def is_folder(local: str) -> bool:
    """Tell whether this is a folder, or a link that Windows takes for one."""
    if os.path.islink(local):
        return is_windows_target(os.readlink(local))
    return os.path.isdir(local)
