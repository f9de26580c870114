"""The pictures in the documents, made of what vsspc and BackupPC really show: `make screenshots`.

    terminal   a command on a terminal, and what it looks like there, as HTML
    scenes     what is shown: a dump on BackupPC's page, a run's timeline, a host with six faults that is checked
    browser    HTML as a picture, by Debian's Chromium
"""
