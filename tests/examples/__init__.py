"""The examples for other tools than BackupPC, as they stand, each on a lab."""
