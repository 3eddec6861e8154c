"""The declared tables: one file, one statement, one table; the file's name is the table's name."""
