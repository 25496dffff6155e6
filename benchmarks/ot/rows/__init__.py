"""What is measured: one adapter per library, and the table of rows."""
