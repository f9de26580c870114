"""The languages of Windows: what its own programs print, in the bytes of the OEM code page.

The stand-ins say everything in English; where it leaves them, each line is looked up here. A template's `{}` stands for
what Windows fills in, and stays as it is: names, numbers, GUIDs. What is not listed stays English, as in a Windows
whose language pack lacks it. Programs that come with us (vshadow, dosdev, rsync) are English everywhere.

Texts: public transcripts of German and Japanese hosts where there are any; else the words of the same program
elsewhere. Nothing may depend on them: that is what they are here for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

_GERMAN = {
    # cmd
    "The system cannot find the file specified.": "Das System kann die angegebene Datei nicht finden.",
    "The system cannot find the path specified.": "Das System kann den angegebenen Pfad nicht finden.",
    "Access is denied.": "Zugriff verweigert",
    "The process cannot access the file because it is being used by another process.": (
        "Der Prozess kann nicht auf die Datei zugreifen, da sie von einem anderen Prozess verwendet wird."
    ),
    "'{}' is not recognized as an internal or external command,": (
        'Der Befehl "{}" ist entweder falsch geschrieben oder'
    ),
    "operable program or batch file.": "konnte nicht gefunden werden.",
    "A subdirectory or file {} already exists.": "Ein Unterverzeichnis oder eine Datei mit dem Namen {} existiert bereits.",
    "Cannot create a file when that file already exists.": (
        "Eine Datei kann nicht erstellt werden, wenn sie bereits vorhanden ist."
    ),
    "symbolic link created for {} <<===>> {}": "symbolische Verknüpfung erstellt für {} <<===>> {}",
    "The parameter is incorrect.": "Falscher Parameter.",
    "The directory is not empty.": "Das Verzeichnis ist nicht leer.",
    "Could Not Find {}": "{} konnte nicht gefunden werden",
    "File Not Found": "Datei nicht gefunden",
    "        1 file(s) copied.": "        1 Datei(en) kopiert.",
    "        1 file(s) moved.": "        1 Datei(en) verschoben.",
    # netsh, taskkill, tasklist, icacls, fsutil, ping, netstat
    "Ok.": "OK.",
    "Deleted {} rule(s).": "{} Regel(n) gelöscht.",
    "No rules match the specified criteria.": "Es stimmen keine Regeln mit den angegebenen Kriterien überein.",
    'ERROR: The process "{}" not found.': 'FEHLER: Der Prozess "{}" wurde nicht gefunden.',
    "SUCCESS: The process with PID {} (child process of PID {}) has been terminated.": (
        "ERFOLGREICH: Der Prozess mit PID {} (untergeordneter Prozess von PID {}) wurde beendet."
    ),
    "SUCCESS: The process with PID {} has been terminated.": "ERFOLGREICH: Der Prozess mit PID {} wurde beendet.",
    "ERROR: The process with PID {} could not be terminated.": "FEHLER: Der Prozess mit PID {} konnte nicht beendet werden.",
    "INFO: No tasks are running which match the specified criteria.": (
        "INFORMATION: Es werden keine Aufgaben mit den angegebenen Kriterien ausgeführt."
    ),
    "processed file: {}": "Bearbeitete Datei: {}",
    "Successfully processed {} files; Failed processing {} files": (
        "{} Dateien erfolgreich verarbeitet, bei {} Dateien ist ein Verarbeitungsfehler aufgetreten."
    ),
    "{} NT AUTHORITY\\SYSTEM:{}": "{} NT-AUTORITÄT\\SYSTEM:{}",
    "{} BUILTIN\\Administrators:{}": "{} VORDEFINIERT\\Administratoren:{}",
    "{} BUILTIN\\Users:{}": "{} VORDEFINIERT\\Benutzer:{}",
    "Error:  The file or directory is not a reparse point.": "Fehler:  Die Datei oder das Verzeichnis ist kein Analysepunkt.",
    "Drives: {}": "Laufwerke: {}",
    "Active Connections": "Aktive Verbindungen",
    "  Proto  Local Address          Foreign Address        State": (
        "  Proto  Lokale Adresse         Remoteadresse          Status"
    ),
    "  TCP    {} ESTABLISHED": "  TCP    {} HERGESTELLT",
    "Pinging {} with {} bytes of data:": "Ping wird ausgeführt für {} mit {} Bytes Daten:",
    # certutil
    "SHA256 hash of {}:": "SHA256-Hash von {}:",
    "CertUtil: -hashfile command completed successfully.": "CertUtil: -hashfile-Befehl wurde erfolgreich ausgeführt.",
    # reg
    "ERROR: The system was unable to find the specified registry key or value.": (
        "FEHLER: Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden."
    ),
    # vssadmin
    "vssadmin 1.1 - Volume Shadow Copy Service administrative command-line tool": (
        "vssadmin 1.1 - Verwaltungsbefehlszeilenprogramm des Volumeschattenkopie-Dienstes"
    ),
    "No items found that satisfy the query.": "Es wurden keine Ergebnisse für die Abfrage gefunden.",
    "Contents of shadow copy set ID: {}": "Inhalt der Schattenkopiesatz-ID: {}",
    "   Contained {} shadow copies at creation time: {}": "   {} Schattenkopie(n) enthalten zum Erstellungszeitpunkt: {}",
    "      Shadow Copy ID: {}": "      Schattenkopie-ID: {}",
    "         Original Volume: {}": "         Ursprüngliches Volume: {}",
    "         Shadow Copy Volume: {}": "         Schattenkopievolume: {}",
    "         Originating Machine: {}": "         Quellcomputer: {}",
    "         Service Machine: {}": "         Dienstcomputer: {}",
    "         Provider: '{}'": '         Anbieter: "{}"',
    "         Type: {}": "         Typ: {}",
    "         Attributes: {}": "         Attribute: {}",
    "Shadow Copy Storage association": "Schattenkopiespeicher-Zuordnung",
    "   For volume: {}": "   Für Volume: {}",
    "   Shadow Copy Storage volume: {}": "   Schattenkopiespeicher-Volume: {}",
    "   Used Shadow Copy Storage space: {}": "   Verwendeter Schattenkopiespeicher: {}",
    "   Allocated Shadow Copy Storage space: {}": "   Zugewiesener Schattenkopiespeicher: {}",
    "   Maximum Shadow Copy Storage space: {}": "   Maximaler Schattenkopiespeicher: {}",
    "Writer name: '{}'": 'Verfassername: "{}"',
    "   Writer Id: {}": "   Verfasserkennung: {}",
    "   Writer Instance Id: {}": "   Verfasserinstanzkennung: {}",
    "   State: [{}] Stable": "   Status: [{}] Stabil",
    "   State: [{}] Failed": "   Status: [{}] Fehlgeschlagen",
    "   Last error: No error": "   Letzter Fehler: Kein Fehler",
    "   Last error: {}": "   Letzter Fehler: Wiederholbarer Fehler",
    # diskshadow
    "On computer:  {},  {}": "Auf Computer: {}, {}",
    "Alias {} for shadow ID {} set as environment variable.": (
        "Alias {} für die Schattenkopiekennung {} wurde als Umgebungsvariable festgelegt."
    ),
    "Alias {} for shadow set ID {} set as environment variable.": (
        "Alias {} für die Schattenkopiesatzkennung {} wurde als Umgebungsvariable festgelegt."
    ),
    "Querying all shadow copies with the shadow copy set ID {}": (
        "Abfragen aller Schattenkopien mit der Schattenkopiesatzkennung {}"
    ),
    "\t* Shadow copy ID = {}": "\t* Schattenkopiekennung = {}",
    "\t\t- Shadow copy set: {}": "\t\t- Schattenkopiesatz: {}",
    "\t\t- Original volume name: {}": "\t\t- Ursprünglicher Volumename: {}",
    "\t\t- Shadow copy device name: {}": "\t\t- Schattenkopie-Gerätename: {}",
    "Number of shadow copies listed: {}": "Anzahl aufgelisteter Schattenkopien: {}",
    "The command script returned failure exit code {}.": "Das Befehlsskript hat den Fehlerexitcode {} zurückgegeben.",
    "The command script failed.": "Fehler beim Befehlsskript.",
    "The existing file will be overwritten.": "Die vorhandene Datei wird überschrieben.",
}
_JAPANESE = {
    "The system cannot find the file specified.": "指定されたファイルが見つかりません。",
    "The system cannot find the path specified.": "指定されたパスが見つかりません。",
    "Access is denied.": "アクセスが拒否されました。",
    "'{}' is not recognized as an internal or external command,": (
        "'{}' は、内部コマンドまたは外部コマンド、"
    ),
    "operable program or batch file.": "操作可能なプログラムまたはバッチ ファイルとして認識されていません。",
    "A subdirectory or file {} already exists.": "サブディレクトリまたはファイル {} は既に存在します。",
    "Cannot create a file when that file already exists.": "既に存在するファイルを作成することはできません。",
    "symbolic link created for {} <<===>> {}": "{} <<===>> {} のシンボリック リンクが作成されました",
    "Could Not Find {}": "{} が見つかりませんでした。",
    "        1 file(s) copied.": "        1 個のファイルをコピーしました。",
    "        1 file(s) moved.": "        1 個のファイルを移動しました。",
    "Ok.": "OK",
    "Deleted {} rule(s).": "{} 規則を削除しました。",
    "No rules match the specified criteria.": "指定された条件に一致する規則はありません。",
    'ERROR: The process "{}" not found.': 'エラー: プロセス "{}" が見つかりませんでした。',
    "SUCCESS: The process with PID {} (child process of PID {}) has been terminated.": (
        "成功: PID {} (PID {} の子プロセス) のプロセスは強制終了されました。"
    ),
    "SUCCESS: The process with PID {} has been terminated.": "成功: PID {} のプロセスは強制終了されました。",
    "INFO: No tasks are running which match the specified criteria.": (
        "情報: 指定された条件に一致するタスクは実行されていません。"
    ),
    "processed file: {}": "処理ファイル: {}",
    "Successfully processed {} files; Failed processing {} files": (
        "{} 個のファイルが正常に処理されました。{} 個のファイルを処理できませんでした"
    ),
    "Drives: {}": "ドライブ: {}",
    "Active Connections": "アクティブな接続",
    "ERROR: The system was unable to find the specified registry key or value.": (
        "エラー: 指定されたレジストリ キーまたは値が見つかりませんでした"
    ),
    "vssadmin 1.1 - Volume Shadow Copy Service administrative command-line tool": (
        "vssadmin 1.1 - ボリューム シャドウ コピー サービス管理コマンド ライン ツール"
    ),
    "No items found that satisfy the query.": "クエリを満たす項目が見つかりませんでした。",
    "Contents of shadow copy set ID: {}": "シャドウ コピー セット ID {} の内容",
    "   Contained {} shadow copies at creation time: {}": "   {} 個のシャドウ コピーが作成時に含まれていました: {}",
    "      Shadow Copy ID: {}": "      シャドウ コピー ID: {}",
    "         Original Volume: {}": "         元のボリューム: {}",
    "         Shadow Copy Volume: {}": "         シャドウ コピー ボリューム: {}",
    "         Originating Machine: {}": "         作成元コンピューター: {}",
    "         Service Machine: {}": "         サービス コンピューター: {}",
    "         Provider: '{}'": "         プロバイダー: '{}'",
    "         Type: {}": "         種類: {}",
    "         Attributes: {}": "         属性: {}",
    "Writer name: '{}'": "ライター名: '{}'",
    "   Writer Id: {}": "   ライター ID: {}",
    "   Writer Instance Id: {}": "   ライター インスタンス ID: {}",
    "   State: [{}] Stable": "   状態: [{}] 安定",
    "   State: [{}] Failed": "   状態: [{}] 失敗",
    "   Last error: No error": "   最後のエラー: エラーなし",
    "Querying all shadow copies with the shadow copy set ID {}": "シャドウ コピー セット ID {} のすべてのシャドウ コピーを照会しています",
    "\t* Shadow copy ID = {}": "\t* シャドウ コピー ID = {}",
    "\t\t- Shadow copy device name: {}": "\t\t- シャドウ コピー デバイス名: {}",
    "Number of shadow copies listed: {}": "一覧表示されたシャドウ コピーの数: {}",
    "The command script returned failure exit code {}.": "コマンド スクリプトからエラー終了コード {} が返されました。",
    "The command script failed.": "コマンド スクリプトが失敗しました。",
}


@dataclass(frozen=True)
class Language:
    """A language with its OEM code page (a codec of Python) and its date format."""

    name: str
    code_page: str
    moment: str
    """For datetime.strftime; empty for the English one, which has no leading zeros."""
    texts: Mapping[str, str]

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        found = []
        for template, text in self.texts.items():
            if "{}" in template:
                found.append((re.compile(re.escape(template).replace(r"\{\}", "(.*)")), text))
        return found

    def line(self, text: str) -> str:
        """Return one line as this Windows prints it."""
        if text in self.texts:
            return self.texts[text]
        for pattern, template in self._patterns:
            if match := pattern.fullmatch(text):
                return template.format(*match.groups())
        return text

    def encode(self, text: str) -> bytes:
        """Return the bytes of lines that Windows prints; what the code page has not becomes `?`."""
        return "\r\n".join(self.line(line) for line in text.split("\r\n")).encode(self.code_page, "replace")


ENGLISH = Language("english", "cp437", "", {})
LANGUAGES = {
    language.name: language
    for language in (
        ENGLISH,
        Language("german", "cp850", "%d.%m.%Y %H:%M:%S", _GERMAN),
        Language("japanese", "cp932", "%Y/%m/%d %H:%M:%S", _JAPANESE),
    )
}
