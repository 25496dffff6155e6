"""The solvers to measure: one adapter per library, and the table of rows."""
